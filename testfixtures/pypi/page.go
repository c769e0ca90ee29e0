package pypi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"time"
)

// page is the answer for a project, or for the list of projects.
type page struct {
	index   *Index
	project string // "" for the list
	files   []file
}

func (p page) html() []byte {
	var b strings.Builder
	title := "Simple index"
	if p.project != "" {
		title = "Links for " + p.project
	}
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.1\"><title>%s</title></head><body>\n", html.EscapeString(title))
	if p.project == "" {
		for _, name := range p.index.projects() {
			fmt.Fprintf(&b, "<a href=\"%s/\">%[1]s</a><br>\n", html.EscapeString(name))
		}
	}
	for _, f := range p.files {
		p.link(&b, &f)
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

func (p page) link(b *strings.Builder, f *file) {
	fmt.Fprintf(b, "<a href=\"%s#sha256=%s\"", html.EscapeString(fileURL(f)), f.sha256)
	if f.requiresPython != "" {
		fmt.Fprintf(b, " data-requires-python=\"%s\"", html.EscapeString(f.requiresPython))
	}
	if f.yanked != nil {
		fmt.Fprintf(b, " data-yanked=\"%s\"", html.EscapeString(*f.yanked))
	}
	if f.metadata != nil && !p.index.NoMetadata {
		fmt.Fprintf(b, " data-core-metadata=\"sha256=%s\" data-dist-info-metadata=\"sha256=%[1]s\"", digest(f.metadata))
	}
	fmt.Fprintf(b, ">%s</a><br>\n", html.EscapeString(f.name))
}

// fileURL is relative to the page, as on many indexes.
func fileURL(f *file) string { return "../../files/" + url.PathEscape(f.name) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type jsonMeta struct {
	APIVersion string `json:"api-version"`
}

type jsonName struct {
	Name string `json:"name"`
}

type jsonFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload-time"`
	RequiresPython string            `json:"requires-python,omitempty"`
	Yanked         any               `json:"yanked"` // false, true or the reason
	CoreMetadata   any               `json:"core-metadata"`
	DistInfo       any               `json:"data-dist-info-metadata"`
}

func (p page) json() []byte {
	meta := jsonMeta{"1.1"}
	if p.project == "" {
		list := []jsonName{}
		for _, name := range p.index.projects() {
			list = append(list, jsonName{name})
		}
		return encode(map[string]any{"meta": meta, "projects": list})
	}
	files, versions := []jsonFile{}, []string{}
	for _, f := range p.files {
		files = append(files, p.entry(&f))
		if v := f.version.String(); !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return encode(map[string]any{"meta": meta, "name": p.project, "versions": versions, "files": files})
}

func (p page) entry(f *file) jsonFile {
	e := jsonFile{
		Filename: f.name, URL: fileURL(f), Hashes: map[string]string{"sha256": f.sha256}, Size: f.size,
		UploadTime: f.uploaded.UTC().Format(time.RFC3339), RequiresPython: f.requiresPython, Yanked: false, CoreMetadata: false, DistInfo: false,
	}
	if f.yanked != nil {
		e.Yanked = true
		if *f.yanked != "" {
			e.Yanked = *f.yanked
		}
	}
	if f.metadata != nil && !p.index.NoMetadata {
		e.CoreMetadata = map[string]string{"sha256": digest(f.metadata)}
		e.DistInfo = e.CoreMetadata
	}
	return e
}

func encode(v any) []byte {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil { // maps, slices and strings always encode
		return []byte("{}")
	}
	return b
}
