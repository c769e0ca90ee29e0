package cache

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"blast.example/blast/runtime/packages/wheel"
	"blast.example/blast/testfixtures/pypi"
)

const hello = "hello"

// helloSum is the SHA-256 of hello.
const helloSum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// get fetches one file with a client that waits less and trusts the servers.
func get(t *testing.T, rawURL string, servers ...*httptest.Server) (string, error) {
	t.Helper()
	w := Wheel{File: "a-1-py3-none-any.whl", URL: rawURL, SHA256: helloSum, Size: int64(len(hello))}
	d, err := newDownloader([]Wheel{w})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.pause, d.stall = time.Millisecond, 300*time.Millisecond
	pool := x509.NewCertPool()
	for _, s := range servers {
		if s.Certificate() != nil {
			pool.AddCert(s.Certificate())
		}
	}
	d.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bytes int64
	_, err = d.fetch(t.Context(), w, f, func(n int64) { bytes += n })
	b, rerr := os.ReadFile(f.Name())
	if rerr != nil {
		t.Fatal(rerr)
	}
	if err == nil && bytes != int64(len(b)) {
		t.Errorf("told of %d bytes, got %d", bytes, len(b))
	}
	return string(b), err
}

func TestRedirects(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		strangers.Add(1)
		fmt.Fprint(w, hello)
	}))
	defer stranger.Close()
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			fmt.Fprint(w, hello)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
		}
	}
	plain, secure := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewTLSServer(http.HandlerFunc(answer))
	defer plain.Close()
	defer secure.Close()
	downgrade := strings.Replace(secure.URL, "https", "http", 1)
	for name, c := range map[string]struct{ from, to, want string }{
		"same host":        {plain.URL, "/file", ""},
		"same secure host": {secure.URL, "/file", ""},
		"another port":     {plain.URL, stranger.URL, "not a host of the lock file"},
		"another name":     {plain.URL, strings.Replace(plain.URL, "127.0.0.1", "localhost", 1) + "/file", "not a host of the lock file"},
		"https to http":    {secure.URL, downgrade + "/file", "from https to http"},
		"loop":             {plain.URL, "/loop", "redirects"},
		"another protocol": {plain.URL, "file:///etc/passwd", "not a host"},
	} {
		got, err := get(t, c.from+"/redirect?to="+url.QueryEscape(c.to), secure)
		if c.want == "" && (err != nil || got != hello) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("%d requests reached a stranger", n)
	}
	if got, err := get(t, stranger.URL); err != nil || got != hello || strangers.Load() != 1 {
		t.Errorf("control: %q %v", got, err)
	}
}

// Even a connection that no redirect announced goes to pinned hosts only.
func TestDialsOnlyPinnedHosts(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	for pinned, ok := range map[string]bool{s.URL: true, "http://127.0.0.1:1": false} {
		d, err := newDownloader([]Wheel{{URL: pinned}})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := d.client.Transport.(*http.Transport).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
		if (err == nil) != ok {
			t.Errorf("pinned %s: %v", pinned, err)
		}
		if err == nil {
			_ = conn.Close()
		}
		d.close()
	}
	for _, bad := range []string{"", "ftp://x/y", "file:///etc/passwd", "/x", "http://"} {
		if _, err := newDownloader([]Wheel{{URL: bad}}); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		bad     func(w http.ResponseWriter)
		retried bool
	}{
		"500":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, true},
		"429":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, true},
		"404":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, false},
		"206":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusPartialContent) }, false},
		"short":      {func(w http.ResponseWriter) { fmt.Fprint(w, "hel") }, true},
		"cut off":    {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "5"); fmt.Fprint(w, "hel") }, true},
		"hung up":    {hangUp, true},
		"stalls":     {func(w http.ResponseWriter) { w.(http.Flusher).Flush(); <-time.After(900 * time.Millisecond) }, true},
		"other file": {func(w http.ResponseWriter) { fmt.Fprint(w, "HELLO") }, false},
	} {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) < 3 {
				c.bad(w)
				return
			}
			fmt.Fprint(w, hello)
		}))
		got, err := get(t, s.URL)
		if c.retried && (err != nil || got != hello || n.Load() != 3) || !c.retried && (err == nil || n.Load() != 1) {
			t.Errorf("%s: %q, %v after %d requests", name, got, err, n.Load())
		}
		s.Close()
	}
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { n.Add(1); w.WriteHeader(http.StatusBadGateway) }))
	defer s.Close()
	if _, err := get(t, s.URL); err == nil || n.Load() != attempts {
		t.Errorf("gave up after %d: %v", n.Load(), err)
	}
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// What a dead process left goes away; what a live one holds stays.
func TestSweep(t *testing.T) {
	c := New(t.TempDir())
	live, err := c.newWorkplace()
	if err != nil {
		t.Fatal(err)
	}
	dead, err := c.newWorkplace()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dead.dir, "entry", "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Close() // as the kernel does for a dead process
	third, err := c.newWorkplace()
	if err != nil {
		t.Fatal(err)
	}
	third.close()
	if _, err := os.Stat(dead.dir); err == nil {
		t.Error("what a dead process left is still there")
	}
	if _, err := os.Stat(live.dir); err != nil {
		t.Errorf("a live workplace is gone: %v", err)
	}
	live.close()
}

const python = "/usr/bin/python3"

func compiled(t *testing.T, modules map[string]string) (Entry, wheel.Target) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2], end='')").Output()
	if err != nil {
		t.Skipf("no %s to compile with: %v", python, err)
	}
	target := wheel.Target{Python: string(out), Interpreter: "/venv/current/bin/python"}
	path := filepath.Join(t.TempDir(), "a-1.0-py3-none-any.whl")
	if err := os.WriteFile(path, pypi.MakeWheel("a", "1.0", nil, modules), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(t.TempDir())
	e, err := c.StoreFile(t.Context(), path, Settings{Target: target, Python: python})
	if err != nil {
		t.Fatal(err)
	}
	sum := filepath.Base(filepath.Dir(e.Tree))[:64]
	if err := c.Verify(sum, target); err != nil {
		t.Error(err)
	}
	return e, target
}

// Python really takes the bytecode: the source next to it says something else.
func TestCompile(t *testing.T) {
	e, target := compiled(t, map[string]string{"a/__init__.py": "", "a/b.py": "def where(): return 'compiled'\n", "a/template.py": "{{ no python }}", "a/deep.py": strings.Repeat("(", 100000)})
	site := filepath.Join(e.Tree, target.SitePackages())
	module := filepath.Join(site, "a/b.py")
	if err := os.Chmod(module, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(module, []byte("def where(): return 'source'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "-I", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import a.b; print(a.b.where())", site).CombinedOutput()
	if err != nil || string(out) != "compiled\n" {
		t.Errorf("%q, %v", out, err)
	}
	// Tracebacks name the file as the sandbox sees it.
	name := "/venv/current/" + target.SitePackages() + "/a/b.py"
	found := false
	for _, f := range e.Files {
		if strings.HasPrefix(f.Path, target.SitePackages()+"/a/__pycache__/b.") {
			b, err := os.ReadFile(filepath.Join(e.Tree, f.Path))
			found = err == nil && strings.Contains(string(b), name)
		}
		if strings.Contains(f.Path, "template.") && strings.HasSuffix(f.Path, ".pyc") {
			t.Errorf("%s was made of no Python", f.Path)
		}
	}
	if !found {
		t.Errorf("no bytecode names %s", name)
	}
}

// Two runs make the same bytes: an entry can be made again like it was.
func TestCompileIsDeterministic(t *testing.T) {
	modules := map[string]string{"a/__init__.py": "X = {1, 2, 'a', 'b'}\ndef f(): return {'x', 'y', 'z'}\n", "a/b.py": "import os\n"}
	one, _ := compiled(t, modules)
	two, _ := compiled(t, modules)
	if fmt.Sprint(one.Files) != fmt.Sprint(two.Files) || len(one.Files) < 6 {
		t.Errorf("%v\n%v", one.Files, two.Files)
	}
}

func TestCompilerHasNoRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root has rights to drop")
	}
	c, err := startCompiler(t.Context(), python)
	if err != nil {
		t.Skipf("no %s to compile with: %v", python, err)
	}
	defer c.end()
	proc := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("status lacks %q:\n%s", want, status)
		}
	}
	for _, ns := range []string{"net", "pid", "ipc", "uts"} {
		ours, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.Readlink(proc + "ns/" + ns)
		if err != nil || ours == theirs {
			t.Errorf("%s namespace %s, ours %s: %v", ns, theirs, ours, err)
		}
	}
	if code, err := c.ask("x.py", []byte("x = 1\n")); err != nil || len(code) < 16 {
		t.Errorf("control: it doesn't compile: %v", err)
	}
}
