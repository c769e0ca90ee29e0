package index_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/packages/index"
)

const asJSON = "application/vnd.pypi.simple.v1+json"

var noTime time.Time

// hostile serves whatever a test wants as the page of every project.
func hostile(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func says(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

// TestPagesThatAreNone: what, why, fix, and short whatever the index sends.
func TestPagesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ kind, body, want string }{
		"HTML called JSON":  {asJSON, "<!DOCTYPE html>", "says that it is JSON, and can't be read as a project page (invalid character '<'"},
		"JSON called HTML":  {"text/html", " {}", "says that it is HTML (text/html), and is JSON"},
		"no type":           {"", "{}", "content type"},
		"a bad type":        {";;", "{}", "content type"},
		"a picture":         {"image/png", "x", `is of the type "image/png", and a package index gives JSON`},
		"a list":            {asJSON, "[]", "can't be read as a project page"},
		"a list of names":   {asJSON, `{"projects": []}`, "JSON without a list of files"},
		"files are a text":  {asJSON, `{"files": "x"}`, "can't be read as a project page"},
		"deep":              {asJSON, `{"files": ` + strings.Repeat("[", 1_000_000), "exceeded max depth"},
		"deep where it may": {asJSON, `{"files": [{"yanked": ` + strings.Repeat("[", 1_000_000), "exceeded max depth"},
		"cut":               {asJSON, `{"files": [`, "unexpected end"},
		"a later API":       {asJSON, `{"meta": {"api-version": "2.0"}, "files": []}`, `speaks version "2.0" of the API`},
		"a later API, HTML": {"text/html", `<meta name="pypi:repository-version" content="2.0">`, `speaks version "2.0" of the API`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := hostile(t, says(c.kind, c.body))
			_, _, err := client(srv.URL).Files(t.Context(), "a")
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Check the index in the python block") || len(err.Error()) > 500 {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestFilesThatMustNotBeFetched: the page is read, and says of each why.
func TestFilesThatMustNotBeFetched(t *testing.T) {
	for ref, want := range map[string]string{
		"file:///etc/passwd":            "its address is not http or https",
		"ftp://x.example/a.whl":         "its address is not http or https",
		"javascript:alert(1)":           "its address is not http or https",
		"http://u:secret@x.example/":    "its address has a password in it",
		"http://x.example:99999/a.whl":  "its address is not http or https",
		"http://[::1/":                  "its address can't be read",
		"%zz":                           "its address can't be read",
		"https://other.example/a.whl":   "",
		"//other.example/a.whl":         "",
		"../../../../../../etc/a-1.whl": "",
	} {
		page := fmt.Sprintf(`{"files": [{"filename": "a-1-py3-none-any.whl", "url": %q, "hashes": {}}]}`, ref)
		srv := hostile(t, says(asJSON, page))
		files, _, err := client(srv.URL).Files(t.Context(), "a")
		if err != nil || len(files) != 1 || files[0].Problem != want || (want == "") == (files[0].URL == "") || strings.Contains(files[0].URL, "secret") {
			t.Errorf("%s: %+v, %v", ref, files, err)
		}
		srv = hostile(t, says("text/html", fmt.Sprintf(`<a href="%s">a</a>`, ref)))
		files, _, err = client(srv.URL).Files(t.Context(), "a")
		if err != nil || len(files) != 1 || files[0].Problem != want {
			t.Errorf("HTML, %s: %+v, %v", ref, files, err)
		}
	}
}

// TestOddFields: what is no hash, size or reason counts as none.
func TestOddFields(t *testing.T) {
	sum := strings.Repeat("AB", 32)
	srv := hostile(t, says(asJSON, `{"name": "other", "files": [
		{"filename": "../../a", "url": "a", "hashes": {"sha256": "`+sum+`", "md5": "00", "sha512": "zz"}, "size": -5, "yanked": "", "core-metadata": {"sha256": 5}},
		{"filename": "b", "url": "b", "hashes": {"sha256": "../../x"}, "size": null, "yanked": {"x": "y"}, "core-metadata": false, "dist-info-metadata": true, "requires-python": null},
		{"filename": "c", "url": "c#sha256=x", "yanked": true, "data-dist-info-metadata": {"sha256": "`+sum+`"}}]}`))
	f, _, err := client(srv.URL).Files(t.Context(), "a")
	if err != nil || len(f) != 3 {
		t.Fatal(f, err)
	}
	if f[0].SHA256 != strings.ToLower(sum) || len(f[0].Hashes) != 1 || f[0].Size != 0 || f[0].Yanked != "" || !f[0].HasMetadata || f[0].MetadataSHA256 != "" {
		t.Errorf("%+v", f[0])
	}
	if f[1].SHA256 != "" || f[1].Yanked != "no reason is given" || f[1].HasMetadata {
		t.Errorf("%+v", f[1])
	}
	if strings.Contains(f[2].URL, "#") || f[2].Yanked != "no reason is given" || f[2].MetadataSHA256 != strings.ToLower(sum) {
		t.Errorf("%+v", f[2])
	}
}

// TestHTMLTricks: only anchors count, not what is in scripts and comments, and
// a base moves only relative links, and nothing to http.
func TestHTMLTricks(t *testing.T) {
	srv := hostile(t, says("text/html", `<base href="/x/"><base href="http://evil.example/">
		<!-- <a href="1.whl"> --><script>"<a href='2.whl'>"</script><a name="x">no</a><A HREF="y%2Fa-1-py3-none-any.whl#sha256=zz" href="second.whl" data-yanked>`))
	files, _, err := client(srv.URL).Files(t.Context(), "a")
	if err != nil || len(files) != 1 {
		t.Fatalf("%+v, %v", files, err)
	}
	if f := files[0]; f.URL != srv.URL+"/x/y%2Fa-1-py3-none-any.whl" || f.Name != "a-1-py3-none-any.whl" || f.SHA256 != "" || f.Yanked == "" {
		t.Errorf("%+v", f)
	}
}

// TestEndless: what is too much is not read to its end. Compressed, it would be
// a thousand times as much as what is sent.
func TestEndless(t *testing.T) {
	bomb := new(bytes.Buffer)
	z := gzip.NewWriter(bomb)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		_, _ = z.Write(chunk)
	}
	_ = z.Close()
	for name, h := range map[string]http.HandlerFunc{
		"plain": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", asJSON)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", asJSON)
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := client(hostile(t, h).URL).Files(t.Context(), "a")
			if err == nil || !strings.Contains(err.Error(), "the answer is larger than 33554432 bytes") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRedirects: only to where Allow lets, not in circles, never with a password.
func TestRedirects(t *testing.T) {
	_, root := one(t)
	page := strings.TrimSuffix(root, "/") + "/a/"
	var asked []string
	for name, c := range map[string]struct {
		to   func(w http.ResponseWriter, r *http.Request) string
		want string
	}{
		"elsewhere":  {func(http.ResponseWriter, *http.Request) string { return page }, ""},
		"forbidden":  {func(http.ResponseWriter, *http.Request) string { return "http://evil.example/" }, "evil.example may not"},
		"in circles": {func(_ http.ResponseWriter, r *http.Request) string { return r.URL.String() + "x" }, "it redirects more than 5 times"},
		"password":   {func(http.ResponseWriter, *http.Request) string { return strings.Replace(page, "//", "//u:secret@", 1) }, "it redirects to an address with a password"},
		"to a file":  {func(http.ResponseWriter, *http.Request) string { return "file:///etc/passwd" }, "is no http or https address"},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			srv := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				n++
				http.Redirect(w, r, c.to(w, r), http.StatusFound)
			})
			cl := client(srv.URL)
			cl.Allow = func(host string, _ uint16) error {
				asked = append(asked, host)
				if host != "127.0.0.1" {
					return refused(host)
				}
				return nil
			}
			files, _, err := cl.Files(t.Context(), "a")
			if c.want == "" {
				if err != nil || len(files) != 1 || !strings.HasPrefix(files[0].URL, strings.TrimSuffix(root, "/simple/")) {
					t.Errorf("%+v, %v", files, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
			if n > 6 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

type refused string

func (r refused) Error() string { return string(r) + " may not" }
func (refused) Denied()         {}

// TestDowngrade: from https nothing leads to http, neither a redirect nor a link.
func TestDowngrade(t *testing.T) {
	_, plain := one(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/redirect/") {
			http.Redirect(w, r, plain+"a/", http.StatusFound)
			return
		}
		says("text/html", `<base href="`+plain+`"><a href="`+plain+`a-1-py3-none-any.whl">x</a><a href="a-2-py3-none-any.whl">y</a>`)(w, r)
	}))
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	c := client(srv.URL + "/redirect")
	c.Trust(pool)
	if _, _, err := c.Files(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "it redirects from https to http") {
		t.Errorf("%v", err)
	}
	c.Roots = func(string) []string { return []string{srv.URL + "/page"} }
	files, _, err := c.Files(t.Context(), "a")
	if err != nil || len(files) != 2 || files[0].Problem != "its address is http, and that of the index https" || !strings.HasPrefix(files[1].URL, "https://") {
		t.Errorf("%+v, %v", files, err)
	}
	if _, _, err := client(srv.URL).Files(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

// TestProxiesAreNotUsed: a proxy is a host that no rule names.
func TestProxiesAreNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://evil.example:1")
	t.Setenv("http_proxy", "http://evil.example:1")
	srv := hostile(t, says(asJSON, `{"files": []}`))
	if _, _, err := client(srv.URL).Files(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// TestWheelsThatAreNone: one file is broken, not the index.
func TestWheelsThatAreNone(t *testing.T) {
	pack := func(names ...string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err == nil {
				_, err = io.WriteString(w, "Name: a\n")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		_ = z.Close()
		return b.String()
	}
	big := new(bytes.Buffer)
	z := zip.NewWriter(big)
	w, _ := z.Create("a-1.dist-info/METADATA")
	for range 9 {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
	_ = z.Close()
	for name, c := range map[string]struct{ data, want string }{
		"empty":         {"", "the wheel can't be read"},
		"no zip":        {"hello", "the wheel can't be read: zip: not a valid zip file"},
		"no METADATA":   {pack("a.py", "x/METADATA", "a-1.dist-info/x/METADATA"), "it has no METADATA"},
		"two":           {pack("a-1.dist-info/METADATA", "b-1.dist-info/METADATA"), "it has more than one METADATA"},
		"bomb":          {big.String(), "its METADATA is too large"},
		"cut":           {pack("a-1.dist-info/METADATA")[:60], "the wheel can't be read"},
		"a hidden name": {strings.ReplaceAll(pack("a-1.dist-info/METADATA"), "a-1.dist-info/M", "/-1.dist-info/M"), "it has no METADATA"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				http.ServeContent(w, r, "", noTime, strings.NewReader(c.data))
			})
			_, err := client().Metadata(t.Context(), index.File{Name: "a-1-py3-none-any.whl", URL: srv.URL + "/a.whl"})
			if !errors.Is(err, index.ErrBroken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRangesThatLie: an answer that is not the piece that was asked for.
func TestRangesThatLie(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no Content-Range": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
		"negative": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes -5-1/2")
			w.WriteHeader(http.StatusPartialContent)
		},
		"past its end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/5")
			w.WriteHeader(http.StatusPartialContent)
		},
		"a huge total, nothing in it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/2000000000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "0123456789")
		},
		"too huge": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/9223372036854775807")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "0123456789")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			srv := hostile(t, func(w http.ResponseWriter, r *http.Request) { n++; h(w, r) })
			if b, err := client().Metadata(t.Context(), index.File{URL: srv.URL + "/a.whl"}); err == nil {
				t.Errorf("read %q", b)
			}
			if n > 5 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestTampered: a hash that the index gives is compared.
func TestTampered(t *testing.T) {
	srv := hostile(t, says("text/plain", "Name: evil\n"))
	sum := strings.Repeat("0", 64)
	for _, f := range []index.File{
		{URL: srv.URL + "/a.whl", HasMetadata: true, MetadataSHA256: sum},
		{URL: srv.URL + "/a.whl", SHA256: sum},
	} {
		_, err := client().Metadata(t.Context(), f)
		if err == nil || errors.Is(err, index.ErrBroken) || !strings.Contains(err.Error(), "the file has another hash than the index says. The index or the way to it is broken or tampered with") {
			t.Errorf("%v", err)
		}
	}
}
