package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// parseHTML reads the anchors of a project page (PEP 503, 592, 629, 658, 714).
func parseHTML(body []byte, base *url.URL) ([]File, error) {
	var out []File
	page, moved := base, false
	for z := html.NewTokenizer(bytes.NewReader(body)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("the answer's HTML can't be read (%w)", err)
			}
			return out, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			href, linked := attr(t, "href")
			switch {
			case t.Data == "meta":
				if err := checkMeta(t); err != nil {
					return nil, err
				}
			case t.Data == "base" && linked && !moved:
				if u, err := base.Parse(href); err == nil && (base.Scheme != "https" || u.Scheme == "https") {
					page, moved = u, true
				}
			case t.Data == "a" && linked:
				out = append(out, anchor(t, href, page, base))
			}
		}
	}
}

func checkMeta(t html.Token) error {
	if name, _ := attr(t, "name"); name != "pypi:repository-version" {
		return nil
	}
	v, _ := attr(t, "content")
	return checkVersion(v)
}

// anchor reads one link. base is where the page came from, page what its links
// start from.
func anchor(t html.Token, href string, page, base *url.URL) File {
	f := File{Hashes: map[string]string{}}
	f.RequiresPython, _ = attr(t, "data-requires-python")
	if u, err := page.Parse(href); err == nil {
		f.Name = path.Base(u.Path)
		name, digits, _ := strings.Cut(u.Fragment, "=")
		f.hash(name, digits)
		href = u.String()
	}
	f.place(base, href)
	if reason, ok := attr(t, "data-yanked"); ok {
		f.yank(reason)
	}
	for _, key := range []string{"data-core-metadata", "data-dist-info-metadata"} {
		if v, ok := attr(t, key); ok {
			name, digits, _ := strings.Cut(v, "=")
			if name != "sha256" {
				digits = ""
			}
			f.metadata(v != "false", digits)
			break
		}
	}
	return f
}

// attr is an attribute's first value.
func attr(t html.Token, key string) (string, bool) {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}
