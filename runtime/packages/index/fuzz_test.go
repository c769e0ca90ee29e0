package index

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

var fuzzBase = &url.URL{Scheme: "https", Host: "index.example", Path: "/simple/a/"}

func FuzzHTML(f *testing.F) {
	f.Add(`<a href="../../a-1-py3-none-any.whl#sha256=` + strings.Repeat("ab", 32) + `" data-yanked data-requires-python="&gt;=3" data-core-metadata="sha256=00">a</a>`)
	f.Add(`<base href="http://x/"><a href="//y/z?q#f">`)
	f.Add(`<meta name="pypi:repository-version" content="1.0"><a href=":"><a href="a` + "\x00" + `">`)
	f.Fuzz(func(t *testing.T, body string) {
		if files, err := parse([]byte(body), "text/html; charset=utf-8", fuzzBase); err == nil {
			sane(t, files)
		}
	})
}

func FuzzJSON(f *testing.F) {
	good, _ := json.Marshal(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "files": []any{map[string]any{
		"filename": "a-1-py3-none-any.whl", "url": "../../a.whl", "hashes": map[string]string{"sha256": strings.Repeat("ab", 32)}, "size": 5, "yanked": "x", "core-metadata": true}}})
	f.Add(string(good))
	f.Add(`{"files": [{"url": "http://u:p@x/", "size": -1, "yanked": [], "core-metadata": {"sha256": {}}}]}`)
	f.Add(`{"files": null}`)
	f.Fuzz(func(t *testing.T, body string) {
		if files, err := parse([]byte(body), "application/vnd.pypi.simple.v1+json", fuzzBase); err == nil {
			sane(t, files)
		}
	})
}

// sane is what the rest of Blast counts on.
func sane(t *testing.T, files []File) {
	for _, f := range files {
		u, err := url.Parse(f.URL)
		switch {
		case f.Problem == "" && (err != nil || u.Scheme != "https" || u.User != nil || u.Host == "" || u.Fragment != ""):
			t.Errorf("may be fetched: %+v", f)
		case f.Problem != "" && f.URL != "":
			t.Errorf("has a problem, and an address: %+v", f)
		case f.SHA256 != "" && (len(f.SHA256) != 64 || f.SHA256 != strings.ToLower(f.SHA256)), f.Size < 0:
			t.Errorf("%+v", f)
		}
	}
}
