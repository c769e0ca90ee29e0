package pypi_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/testfixtures/pypi"
)

const jsonType = "application/vnd.pypi.simple.v1+json"

func index(t *testing.T) *pypi.Index {
	t.Helper()
	x := pypi.New()
	for _, w := range []pypi.Wheel{
		{Name: "Base.Lib", Version: "1.0", RequiresPython: ">=3.6,<4", Files: map[string]string{"base_lib.py": "answer = 41\n"}},
		{Name: "Base.Lib", Version: "1.1", RequiresPython: ">=3.6", Files: map[string]string{"base_lib.py": "answer = 42\n"}},
		{
			Name: "app", Version: "2.0", Requires: []string{"base-lib>=1.1", `extra-lib; extra == "more"`}, Extras: []string{"more"},
			Scripts: map[string]string{"app-say": "app:main"}, Files: map[string]string{"app.py": "import base_lib\ndef main():\n    print(base_lib.answer)\n"},
		},
	} {
		if err := x.Add(w); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func get(t *testing.T, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// resolve makes a link of a page absolute.
func resolve(t *testing.T, page, link string) string {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	if u, err = u.Parse(link); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

type project struct {
	Name     string
	Versions []string
	Files    []struct {
		Filename       string
		URL            string
		Hashes         map[string]string
		Size           int
		RequiresPython string `json:"requires-python"`
		Yanked         any
		CoreMetadata   any `json:"core-metadata"`
	}
}

func getProject(t *testing.T, url string) project {
	t.Helper()
	resp, body := get(t, url, "Accept", jsonType)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != jsonType {
		t.Fatalf("%s: %s, %s", url, resp.Status, resp.Header.Get("Content-Type"))
	}
	var p project
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestJSON(t *testing.T) {
	x := index(t)
	if err := x.Yank("base_lib-1.0-py3-none-any.whl", "wrong answer"); err != nil {
		t.Fatal(err)
	}
	root := pypi.Serve(t, x)
	p := getProject(t, root+"base-lib/")
	if p.Name != "base-lib" || strings.Join(p.Versions, " ") != "1.0 1.1" || len(p.Files) != 2 {
		t.Fatalf("%+v", p)
	}
	f := p.Files[0]
	if f.Filename != "base_lib-1.0-py3-none-any.whl" || f.RequiresPython != ">=3.6,<4" || f.Yanked != "wrong answer" || p.Files[1].Yanked != false {
		t.Errorf("%+v", p.Files)
	}
	resp, wheel := get(t, resolve(t, root+"base-lib/", f.URL))
	if resp.StatusCode != http.StatusOK || len(wheel) != f.Size || sha(wheel) != f.Hashes["sha256"] {
		t.Errorf("wheel: %s, %d bytes, sha256 %s; want %+v", resp.Status, len(wheel), sha(wheel), f)
	}
	_, metadata := get(t, resolve(t, root+"base-lib/", f.URL+".metadata"))
	if !cmp.Equal(f.CoreMetadata, any(map[string]any{"sha256": sha(metadata)})) || !strings.Contains(string(metadata), "Name: Base.Lib\n") {
		t.Errorf("metadata %q, want sha256 %s", metadata, f.CoreMetadata)
	}
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestNegotiation(t *testing.T) {
	root := pypi.Serve(t, index(t))
	for accept, want := range map[string]string{
		"":          "text/html",
		"*/*":       "text/html",
		"text/html": "text/html",
		jsonType:    jsonType,
		"application/vnd.pypi.simple.latest+json":                      jsonType,
		"text/html;q=0.1, " + jsonType + ";q=0.9":                      jsonType,
		jsonType + ";q=0.1, application/vnd.pypi.simple.v1+html;q=0.2": "application/vnd.pypi.simple.v1+html",
		"application/json": "text/plain; charset=utf-8", // 406
	} {
		resp, body := get(t, root+"app/", "Accept", accept)
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q gave %q", accept, got)
		}
		if notOK := resp.StatusCode != http.StatusOK; notOK != (accept == "application/json") {
			t.Errorf("Accept %q: %s", accept, resp.Status)
		}
		if strings.HasSuffix(want, "json") != json.Valid(body) {
			t.Errorf("Accept %q gave body %q", accept, body)
		}
	}
}

func TestHTML(t *testing.T) {
	x := index(t)
	if err := x.Yank("base_lib-1.0-py3-none-any.whl", `a "reason"`); err != nil {
		t.Fatal(err)
	}
	root := pypi.Serve(t, x)
	_, list := get(t, root)
	if !strings.Contains(string(list), `<a href="base-lib/">base-lib</a>`) {
		t.Errorf("list: %s", list)
	}
	_, body := get(t, root+"base-lib/")
	for _, want := range []string{"base_lib-1.1-py3-none-any.whl#sha256=", `data-requires-python="&gt;=3.6,&lt;4"`, `data-yanked="a &#34;reason&#34;"`, `data-core-metadata="sha256=`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func TestRedirectsAndMissing(t *testing.T) {
	root := pypi.Serve(t, index(t))
	for path, want := range map[string]string{"Base_Lib/": "/simple/base-lib/", "base-lib": "/simple/base-lib/"} {
		resp, _ := get(t, root+path)
		if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != want {
			t.Errorf("%s ended at %s, %s", path, resp.Request.URL, resp.Status)
		}
	}
	for _, path := range []string{"nothing/", "../files/nothing.whl", "../files/app-2.0-py3-none-any.whl.metadata.metadata", "../other"} {
		if resp, _ := get(t, resolve(t, root, path)); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestRangesAndTags(t *testing.T) {
	x := index(t)
	root := pypi.Serve(t, x)
	link := resolve(t, root, "../files/app-2.0-py3-none-any.whl")
	resp, part := get(t, link, "Range", "bytes=0-3")
	if resp.StatusCode != http.StatusPartialContent || string(part) != "PK\x03\x04" {
		t.Errorf("%s, %q", resp.Status, part)
	}
	if resp, _ = get(t, link, "If-None-Match", resp.Header.Get("ETag")); resp.StatusCode != http.StatusNotModified {
		t.Errorf("%s", resp.Status)
	}
	x.NoRanges = true
	resp, part = get(t, link, "Range", "bytes=0-3")
	if resp.StatusCode != http.StatusOK || len(part) < 100 || resp.Header.Get("Accept-Ranges") != "" {
		t.Errorf("without ranges: %s, %d bytes", resp.Status, len(part))
	}
}

func TestOldIndex(t *testing.T) {
	x := index(t)
	x.HTMLOnly, x.NoMetadata = true, true
	root := pypi.Serve(t, x)
	resp, body := get(t, root+"app/", "Accept", jsonType)
	if resp.Header.Get("Content-Type") != "text/html" || strings.Contains(string(body), "metadata") {
		t.Errorf("%s: %s", resp.Header.Get("Content-Type"), body)
	}
	if resp, _ = get(t, resolve(t, root, "../files/app-2.0-py3-none-any.whl.metadata")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("metadata: %s", resp.Status)
	}
}

func TestPassword(t *testing.T) {
	x := index(t)
	x.User, x.Password = "me", "secret"
	root := pypi.Serve(t, x)
	if resp, _ := get(t, root); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %s", resp.Status)
	}
	if resp, _ := get(t, strings.Replace(root, "http://", "http://me:secret@", 1)); resp.StatusCode != http.StatusOK {
		t.Errorf("with the password: %s", resp.Status)
	}
}

func TestFaults(t *testing.T) {
	x := index(t)
	root := pypi.Serve(t, x)
	path := "/files/app-2.0-py3-none-any.whl"
	link := resolve(t, root, path)
	_, good := get(t, link)

	x.Break(path, pypi.Fault{Status: 503, Times: 2})
	for i, want := range []int{503, 503, 200} {
		if resp, _ := get(t, link); resp.StatusCode != want {
			t.Errorf("answer %d: %s, want %d", i, resp.Status, want)
		}
	}
	x.Break(path, pypi.Fault{Tamper: true})
	if _, bad := get(t, link); len(bad) != len(good) || bytes.Equal(bad, good) {
		t.Error("tampering changed nothing, or the length")
	}
	x.Break(path, pypi.Fault{Truncate: true})
	n, err := download(t, link)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != len(good)/2 {
		t.Errorf("cut after %d of %d bytes: %v", n, len(good), err)
	}
	x.Break(path, pypi.Fault{Delay: 50 * time.Millisecond})
	start := time.Now()
	if _, late := get(t, link); !bytes.Equal(late, good) || time.Since(start) < 50*time.Millisecond {
		t.Errorf("slow answer after %s", time.Since(start))
	}
	x.Mend(path)
	if _, again := get(t, link); !bytes.Equal(again, good) {
		t.Error("not mended")
	}
}

func TestStallEndsWithTheClient(t *testing.T) {
	x := index(t)
	root := pypi.Serve(t, x)
	x.Break("/simple/app/", pypi.Fault{Stall: true})
	client := &http.Client{Timeout: 100 * time.Millisecond}
	resp, err := client.Get(root + "app/")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("a stalled answer came to its end")
	}
}

func download(t *testing.T, url string) (int, error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return len(b), err
}

func TestRequestsAreNoted(t *testing.T) {
	x := index(t)
	root := pypi.Serve(t, x)
	get(t, root+"app/", "Accept", jsonType)
	get(t, root+"nothing/")
	got := x.Requests()
	if len(got) != 2 || got[0].Path != "/simple/app/" || got[0].Accept != jsonType || got[0].Body == 0 || got[1].Status != http.StatusNotFound {
		t.Errorf("%+v", got)
	}
}

func TestOpenReadsAFolder(t *testing.T) {
	dir := t.TempDir()
	w := pypi.Wheel{Name: "lib", Version: "3", RequiresPython: ">=3.7", Files: map[string]string{"lib.py": ""}}
	for name, data := range map[string][]byte{w.Filename(): w.Bytes(), w.SdistFilename(): w.Sdist(), "notes.txt": []byte("no package")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x, err := pypi.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := getProject(t, pypi.Serve(t, x)+"lib/")
	if len(p.Files) != 2 || p.Files[0].RequiresPython != ">=3.7" || p.Files[1].RequiresPython != ">=3.7" {
		t.Errorf("%+v", p)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad-1-py3-none-any.whl"), []byte("no zip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pypi.Open(dir); err == nil {
		t.Error("a wheel that is no zip was taken")
	}
}

func TestWheelBytes(t *testing.T) {
	w := pypi.Wheel{Name: "A", Version: "1", Files: map[string]string{"a,b.py": "x", "c.py": "y"}}
	if !bytes.Equal(w.Bytes(), w.Bytes()) {
		t.Error("two packings differ")
	}
	b := pypi.MakeWheel("A", "1", nil, w.Files)
	if !bytes.Equal(b, w.Bytes()) {
		t.Error("MakeWheel differs")
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := z.Open("a-1.dist-info/RECORD")
	if err != nil {
		t.Fatal(err)
	}
	record, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(record), "\"a,b.py\",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\n") {
		t.Errorf("RECORD %s, %v", record, err)
	}
}

// TestPipInstalls has pip, which knows nothing of Blast, install from the index
// and run what it installed: the fixture is an index, not what Blast takes for one.
func TestPipInstalls(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 with pip to install with")
	}
	root := pypi.Serve(t, index(t))
	dir := t.TempDir()
	venv := filepath.Join(dir, "venv")
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "PIP_CONFIG_FILE=/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1", "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run(python, "-m", "venv", venv)
	run(filepath.Join(venv, "bin/pip"), "install", "--quiet", "--index-url", root, "app")
	if out := run(filepath.Join(venv, "bin/app-say")); out != "42\n" {
		t.Errorf("app-say said %q", out)
	}
}
