package index_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/testfixtures/pypi"
)

func client(roots ...string) *index.Client {
	return &index.Client{Roots: func(string) []string { return roots }, Stall: time.Minute, Pause: time.Millisecond}
}

// one is an index with one wheel, "a 1", that needs b.
func one(t testing.TB) (*pypi.Index, string) {
	t.Helper()
	x := pypi.New()
	w := pypi.Wheel{Name: "a", Version: "1", Requires: []string{"b"}, RequiresPython: ">=3.8", Files: map[string]string{"a.py": strings.Repeat("# code\n", 50_000)}}
	if err := x.Add(w); err != nil {
		t.Fatal(err)
	}
	return x, pypi.Serve(t, x)
}

const wheelPath = "/files/a-1-py3-none-any.whl"

// TestFiles: JSON and HTML say the same.
func TestFiles(t *testing.T) {
	x, root := one(t)
	if err := x.Yank("a-1-py3-none-any.whl", "it <deletes> files"); err != nil {
		t.Fatal(err)
	}
	c := client(root)
	asJSON, from, err := c.Files(t.Context(), "A")
	if err != nil || from != root || len(asJSON) != 1 {
		t.Fatal(asJSON, from, err)
	}
	f := asJSON[0]
	if f.Name != "a-1-py3-none-any.whl" || f.RequiresPython != ">=3.8" || f.Yanked != "it <deletes> files" || len(f.SHA256) != 64 || !f.HasMetadata ||
		len(f.MetadataSHA256) != 64 || f.Size < 100 || f.Problem != "" || !strings.HasSuffix(f.URL, wheelPath) || strings.Contains(f.URL, "#") || f.Uploaded.Year() != 2024 {
		t.Errorf("%+v", f)
	}
	x.HTMLOnly = true
	asHTML, _, err := c.Files(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	asJSON[0].Size, asJSON[0].Uploaded = 0, time.Time{} // HTML doesn't tell
	if d := cmp.Diff(asJSON, asHTML); d != "" {
		t.Error(d)
	}
	for _, q := range x.Requests() {
		if q.Accept != "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01" {
			t.Errorf("Accept: %s", q.Accept)
		}
	}
}

// TestMetadata: from beside the wheel, or out of it, in pieces if the server can.
func TestMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(x *pypi.Index)
		bytes int64 // at most so many of the wheel
	}{
		"beside":            {func(*pypi.Index) {}, 0},
		"listed, not there": {func(x *pypi.Index) { x.Break(wheelPath+".metadata", pypi.Fault{Status: 404}) }, 70_000},
		"in pieces":         {func(x *pypi.Index) { x.NoMetadata = true }, 70_000},
		"whole":             {func(x *pypi.Index) { x.NoMetadata, x.NoRanges = true, true }, 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			x, _ := one(t)
			c.set(x)
			srv := httptest.NewServer(x)
			defer srv.Close()
			cl := client(srv.URL + "/simple/")
			files, _, err := cl.Files(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			b, err := cl.Metadata(t.Context(), files[0])
			if err != nil || !strings.Contains(string(b), "Requires-Dist: b\n") {
				t.Fatalf("%q, %v", b, err)
			}
			srv.Close() // then every answer is recorded
			var sent int64
			for _, q := range x.Requests() {
				if q.Path == wheelPath {
					sent += q.Body
				}
			}
			if sent > c.bytes {
				t.Errorf("%d bytes of the wheel were sent", sent)
			}
		})
	}
}

// TestFarMember: METADATA at the beginning of a large wheel takes two pieces.
func TestFarMember(t *testing.T) {
	x := pypi.New()
	x.NoMetadata = true
	var data bytes.Buffer
	z := zip.NewWriter(&data)
	w, err := z.Create("a-1.dist-info/METADATA")
	if err == nil {
		_, err = io.WriteString(w, "Metadata-Version: 2.1\nName: a\nVersion: 1\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err = z.CreateHeader(&zip.FileHeader{Name: "data.bin", Method: zip.Store})
	if err == nil {
		_, err = w.Write(make([]byte, 300_000))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.AddFile("a-1-py3-none-any.whl", data.Bytes()); err != nil {
		t.Fatal(err)
	}
	ranges := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			ranges++
		}
		x.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c := client(srv.URL + "/simple")
	files, _, err := c.Files(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := c.Metadata(t.Context(), files[0]); err != nil || !strings.HasPrefix(string(b), "Metadata-Version") {
		t.Fatalf("%q, %v", b, err)
	}
	if ranges != 2 {
		t.Errorf("%d pieces", ranges)
	}
}

func TestFirstIndexWins(t *testing.T) {
	x, first := one(t)
	_, second := one(t)
	empty := pypi.Serve(t, pypi.New())
	if _, from, err := client(empty, second, first).Files(t.Context(), "a"); err != nil || from != second {
		t.Errorf("from %s, %v", from, err)
	}
	if _, _, err := client(empty).Files(t.Context(), "a"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("%v", err)
	}
	// One that fails is not passed over: the next may have a stranger of that name.
	x.Break("/simple/a/", pypi.Fault{Status: 503})
	if files, _, err := client(first, second).Files(t.Context(), "a"); err == nil || errors.Is(err, index.ErrNotFound) {
		t.Errorf("%v, %v", files, err)
	}
}

func TestCache(t *testing.T) {
	x, root := one(t)
	dir := t.TempDir()
	status := func() (out []int) {
		c := client(root)
		c.Cache = &index.Cache{Dir: dir}
		before := len(x.Requests())
		files, _, err := c.Files(t.Context(), "a")
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if b, err := c.Metadata(t.Context(), files[0]); err != nil || !strings.Contains(string(b), "Requires-Dist: b") {
			t.Fatalf("%q, %v", b, err)
		}
		c.Close()
		for _, q := range x.Requests()[before:] {
			out = append(out, q.Status)
		}
		return out
	}
	if got := status(); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("cold: %v", got)
	}
	// The page is asked for again; the metadata has the hash that the page says.
	if got := status(); !slices.Equal(got, []int{304}) {
		t.Errorf("warm: %v", got)
	}
	spoil := func(change func(b []byte) []byte) {
		t.Helper()
		paths, _ := filepath.Glob(filepath.Join(dir, "*"))
		if len(paths) != 2 {
			t.Fatalf("cache has %v", paths)
		}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err == nil {
				err = os.WriteFile(p, change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(b []byte) []byte{
		"changed body": func(b []byte) []byte { b[len(b)-2] ^= 1; return b },
		"cut":          func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func([]byte) []byte { return nil },
		"no JSON":      func(b []byte) []byte { return append([]byte("x"), b...) },
		"another URL":  func(b []byte) []byte { return []byte(strings.Replace(string(b), `"url":"http`, `"url":"xttp`, 1)) },
	} {
		spoil(change)
		if got := status(); !slices.Equal(got, []int{200, 200}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	// What changes is fetched.
	if err := x.Add(pypi.Wheel{Name: "a", Version: "1", Requires: []string{"b"}, RequiresPython: ">=3.9"}); err != nil {
		t.Fatal(err)
	}
	if got := status(); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("changed: %v", got)
	}
	c := client(root)
	c.Cache = &index.Cache{Dir: "/proc/nowhere"} // can't be written
	if _, _, err := c.Files(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func TestPassingFaults(t *testing.T) {
	for name, f := range map[string]pypi.Fault{
		"500": {Status: 500, Times: 2}, "429": {Status: 429, Times: 2}, "cut": {Truncate: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			x, root := one(t)
			x.Break("/simple/a/", f)
			if files, _, err := client(root).Files(t.Context(), "a"); err != nil || len(files) != 1 {
				t.Errorf("%v, %v", files, err)
			}
		})
	}
}

// TestFaults is what people read when an index gives no answer. Each says what,
// why, and what to do.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault pypi.Fault
		want  []string
		tries int
	}{
		"500":   {pypi.Fault{Status: 500}, []string{"/simple/a/: the server answers 500 Internal Server Error. Try again later"}, 3},
		"403":   {pypi.Fault{Status: 403}, []string{"the server answers 403 Forbidden. It lets only those in whom it knows"}, 1},
		"406":   {pypi.Fault{Status: 406}, []string{"the server answers 406 Not Acceptable. Check the index in the python block"}, 1},
		"cut":   {pypi.Fault{Truncate: true}, []string{"the answer breaks off (unexpected EOF)"}, 3},
		"stall": {pypi.Fault{Stall: true}, []string{"nothing came for 50ms. Check the network, and the index in the python block."}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			x, root := one(t)
			x.Break("/simple/a/", c.fault)
			cl := client(root)
			if c.fault.Stall {
				cl.Stall = 50 * time.Millisecond
			}
			_, _, err := cl.Files(t.Context(), "a")
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("without %q: %v", want, err)
				}
			}
			cl.Close()
			if n := len(x.Requests()); n != c.tries && !c.fault.Stall {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestOffline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = client("http://"+addr+"/simple").Files(t.Context(), "a")
	want := fmt.Sprintf("http://%s/simple/a/: no connection can be made (connect: connection refused). Check the network, and the index in the python block.", addr)
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	_, _, err = client("http://nowhere.invalid/simple").Files(t.Context(), "a")
	if err == nil || !strings.Contains(err.Error(), "http://nowhere.invalid/simple/a/: the name nowhere.invalid can't be looked up (") {
		t.Errorf("%v", err)
	}
}

func TestCancel(t *testing.T) {
	arrived := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, _, err := client(srv.URL).Files(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestHostPort(t *testing.T) {
	for in, want := range map[string]string{
		"https://PyPI.org./simple": "pypi.org 443", "http://h:81": "h 81", "http://[::1]:8": "::1 8", "https://u:p@h": "h 443",
		"ftp://h:21/": "", "file:///x": "", "http:///x": "", "http://h:0": "", "http://h:65536": "", "//h/x": "", "h": "",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		host, port, err := index.HostPort(u)
		got := fmt.Sprintf("%s %d", host, port)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
