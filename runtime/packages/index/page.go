package index

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
)

// A File is one file of a project, as the index lists it.
type File struct {
	Name           string
	URL            string
	Hashes         map[string]string // sha256, sha384, sha512: hex digits, lower case
	SHA256         string            // "" if the index gives none
	Size           int64             // bytes; 0 is unknown
	RequiresPython string            // PEP 440
	Uploaded       time.Time         // zero if the index doesn't tell (PEP 700)
	Yanked         string            // reason; "" if not yanked
	HasMetadata    bool              // its metadata is beside it (PEP 658)
	MetadataSHA256 string            // "" if the index gives none

	// Problem is why the file must not be fetched; "" if it may.
	Problem string
}

// Content types of the simple API.
var jsonTypes = []string{"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json", "application/json"}
var htmlTypes = []string{"text/html", "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html"}

// parse reads a project page that came from base.
func parse(body []byte, kind string, base *url.URL) ([]File, error) {
	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return nil, fmt.Errorf("the answer has the content type %q, which is none", kind)
	}
	looks := bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	for _, t := range jsonTypes {
		if media == t {
			return parseJSON(body, base)
		}
	}
	for _, t := range htmlTypes {
		if media == t && !looks {
			return parseHTML(body, base)
		}
		if media == t {
			return nil, fmt.Errorf("the answer says that it is HTML (%s), and is JSON", media)
		}
	}
	return nil, fmt.Errorf("the answer is of the type %q, and a package index gives JSON (PEP 691) or HTML (PEP 503)", media)
}

// jsonPage is a project page (PEP 691, 700, 714).
type jsonPage struct {
	Meta struct {
		Version string `json:"api-version"`
	} `json:"meta"`
	Files *[]jsonFile `json:"files"`
}

type jsonFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	RequiresPython string            `json:"requires-python"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload-time"`
	Yanked         flexible          `json:"yanked"`
	CoreMetadata   *flexible         `json:"core-metadata"`
	DistMetadata   *flexible         `json:"dist-info-metadata"`
	DataMetadata   *flexible         `json:"data-dist-info-metadata"`
}

// flexible is false or true, or a text or object that means true.
type flexible struct {
	set    bool
	text   string
	hashes map[string]string
}

func (f *flexible) UnmarshalJSON(b []byte) error {
	switch string(b) { // what it mostly is
	case "false", "null":
		return nil
	case "true":
		f.set = true
		return nil
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		f.set, f.text = v != "", v
	case map[string]any:
		f.set, f.hashes = true, map[string]string{}
		for k, h := range v {
			if s, ok := h.(string); ok {
				f.hashes[k] = s
			}
		}
	}
	return nil
}

func parseJSON(body []byte, base *url.URL) ([]File, error) {
	var page jsonPage
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("the answer says that it is JSON, and can't be read as a project page (%w)", err)
	}
	if err := checkVersion(page.Meta.Version); err != nil {
		return nil, err
	}
	if page.Files == nil {
		return nil, fmt.Errorf("the answer is JSON without a list of files")
	}
	var out []File
	for _, f := range *page.Files {
		out = append(out, f.read(base))
	}
	return out, nil
}

// checkVersion takes what PEP 629 says to take.
func checkVersion(v string) error {
	if v != "" && !strings.HasPrefix(v, "1.") {
		return fmt.Errorf("the index speaks version %.20q of the API, and Blast speaks 1.x", v)
	}
	return nil
}

func (f jsonFile) read(base *url.URL) File {
	out := File{Name: f.Filename, RequiresPython: f.RequiresPython, Size: max(f.Size, 0), Hashes: map[string]string{}}
	out.place(base, f.URL)
	if t, err := time.Parse(time.RFC3339, f.UploadTime); err == nil {
		out.Uploaded = t
	}
	for name, digits := range f.Hashes {
		out.hash(name, digits)
	}
	if f.Yanked.set {
		out.yank(f.Yanked.text)
	}
	for _, m := range []*flexible{f.CoreMetadata, f.DistMetadata, f.DataMetadata} {
		if m != nil { // the newest spelling that there is (PEP 714)
			out.metadata(m.set, m.hashes["sha256"])
			break
		}
	}
	return out
}

// place sets where the file is, unless that is less safe than where its page is.
func (f *File) place(base *url.URL, ref string) {
	u, err := base.Parse(ref)
	if err != nil {
		f.Problem = "its address can't be read"
		return
	}
	u.Fragment, u.RawFragment = "", ""
	_, _, err = HostPort(u)
	switch {
	case err != nil:
		f.Problem = "its address is not http or https"
	case u.User != nil:
		f.Problem = "its address has a password in it"
	case base.Scheme == "https" && u.Scheme != "https":
		f.Problem = "its address is " + u.Scheme + ", and that of the index https"
	default:
		f.URL = u.String()
	}
}

// digits is the length of the hashes that count.
var digits = map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}

// hash notes a hash, if it is one.
func (f *File) hash(name, value string) {
	if _, err := hex.DecodeString(value); err != nil || digits[name] != len(value) || value == "" {
		return
	}
	f.Hashes[name] = strings.ToLower(value)
	f.SHA256 = f.Hashes["sha256"]
}

func (f *File) yank(reason string) {
	if f.Yanked = strings.TrimSpace(reason); f.Yanked == "" {
		f.Yanked = "no reason is given"
	}
}

func (f *File) metadata(there bool, sha256 string) {
	f.HasMetadata, f.MetadataSHA256 = there, ""
	if _, err := hex.DecodeString(sha256); err == nil && len(sha256) == digits["sha256"] {
		f.MetadataSHA256 = strings.ToLower(sha256)
	}
}
