package cache_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/wheel"
	"blast.example/blast/testfixtures/pypi"
)

var settings = cache.Settings{Target: wheel.Target{Python: "3.11", Interpreter: "/venv/current/bin/python"}}

// index serves wheels by file name and counts the requests.
type index struct {
	*httptest.Server
	requests atomic.Int64
	files    map[string][]byte
}

func serve(t *testing.T) *index {
	t.Helper()
	x := &index{files: map[string][]byte{}}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.requests.Add(1)
		b, ok := x.files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *index) add(name, version string, files map[string]string) cache.Wheel {
	b := pypi.MakeWheel(name, version, nil, files)
	file := name + "-" + version + "-py3-none-any.whl"
	x.files[file] = b
	return x.pin(file, b)
}

func (x *index) pin(file string, b []byte) cache.Wheel {
	sum := sha256.Sum256(b)
	return cache.Wheel{File: file, URL: x.URL + "/" + file, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}
}

// leftovers fails if something is left of work in progress.
func leftovers(t *testing.T, dir string) {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(es) > 0 {
		t.Errorf("left in tmp: %v %v", es, err)
	}
}

func TestEnsure(t *testing.T) {
	x, dir := serve(t), t.TempDir()
	c := cache.New(dir)
	ws := []cache.Wheel{
		x.add("a", "1.0", map[string]string{"a.py": "A = 1\n"}),
		x.add("b", "2.0", map[string]string{"b/__init__.py": "", "b-2.0.data/scripts/tool": "#!python\n"}),
		x.add("c", "3.0", map[string]string{"c.py": "C"}),
	}
	var told []cache.Progress
	s := settings
	s.Progress = func(p cache.Progress) { told = append(told, p) }
	if _, ok, err := c.Find(ws[0].SHA256, s.Target); ok || err != nil {
		t.Fatalf("an empty cache has something: %v %v", ok, err)
	}
	es, err := c.Ensure(t.Context(), ws, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a", "b", "c"} {
		if es[i].Name != want || !filepath.IsAbs(es[i].Tree) {
			t.Errorf("entry %d is %s in %s", i, es[i].Name, es[i].Tree)
		}
	}
	if b, err := os.ReadFile(filepath.Join(es[1].Tree, "bin/tool")); err != nil || string(b) != "#!/venv/current/bin/python\n" {
		t.Errorf("script %q %v", b, err)
	}
	last := told[len(told)-1]
	if last.Done != 3 || last.Wheels != 3 || last.Bytes != last.Size || last.Size != ws[0].Size+ws[1].Size+ws[2].Size {
		t.Errorf("told %+v at last", last)
	}
	if got := (cache.Progress{Done: 3, Wheels: 12, Bytes: 1.2e6, Size: 4.5e6}).String(); got != "3 of 12 packages, 1.2 of 4.5 MB" {
		t.Error(got)
	}
	if _, err := c.Ensure(t.Context(), ws, settings); err != nil || x.requests.Load() != 3 {
		t.Errorf("%d requests for 3 wheels, asked twice: %v", x.requests.Load(), err)
	}
	other := settings
	other.Target.Python = "3.12"
	if _, ok, err := c.Find(ws[0].SHA256, other.Target); ok || err != nil {
		t.Errorf("found for another Python: %v %v", ok, err)
	}
	leftovers(t, dir)
}

func TestManyAtOnce(t *testing.T) {
	x, dir := serve(t), t.TempDir()
	w := x.add("a", "1.0", map[string]string{"a.py": "A = 1\n"})
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			es, err := cache.New(dir).Ensure(t.Context(), []cache.Wheel{w}, settings)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.ReadFile(filepath.Join(es[0].Tree, settings.Target.SitePackages(), "a.py")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if es, err := os.ReadDir(filepath.Join(dir, "wheels")); err != nil || len(es) != 1 {
		t.Errorf("%d entries: %v", len(es), err)
	}
	leftovers(t, dir)
}

func TestDamageIsSeenAndMended(t *testing.T) {
	x, dir := serve(t), t.TempDir()
	c := cache.New(dir)
	w := x.add("a", "1.0", map[string]string{"a.py": "A = 1\n"})
	es, err := c.Ensure(t.Context(), []cache.Wheel{w}, settings)
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(es[0].Tree, settings.Target.SitePackages(), "a.py")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	edit := func(content string) {
		t.Helper()
		must(os.Chmod(module, 0o644))
		must(os.WriteFile(module, []byte(content), 0o644))
		must(os.Chmod(module, 0o444))
	}
	for name, damage := range map[string]func(){
		"edited":             func() { edit("A = 2\n") },
		"longer":             func() { edit("A = 10\n"); must(os.Chtimes(module, wheel.Time, wheel.Time)) },
		"empty":              func() { must(os.Truncate(module, 0)) },
		"gone":               func() { must(os.Remove(module)) },
		"writable":           func() { must(os.Chmod(module, 0o644)) },
		"link":               func() { must(os.Remove(module)); must(os.Symlink("/etc/passwd", module)) },
		"owner":              func() { must(os.Chown(module, 1, 1)) },
		"manifest cut off":   func() { must(os.Truncate(filepath.Join(filepath.Dir(es[0].Tree), "installed.json"), 9)) },
		"manifest gone":      func() { must(os.Remove(filepath.Join(filepath.Dir(es[0].Tree), "installed.json"))) },
		"tree gone":          func() { must(os.RemoveAll(es[0].Tree)) },
		"everything is gone": func() { must(os.RemoveAll(filepath.Join(dir, "wheels"))) },
	} {
		if name == "owner" && os.Geteuid() != 0 {
			continue
		}
		must(c.Verify(w.SHA256, settings.Target))
		damage()
		if _, ok, err := c.Find(w.SHA256, settings.Target); ok || err != nil {
			t.Errorf("%s: found %v, %v", name, ok, err)
		}
		if err := c.Verify(w.SHA256, settings.Target); !errors.Is(err, cache.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: verified: %v", name, err)
		}
		if _, err := c.Ensure(t.Context(), []cache.Wheel{w}, settings); err != nil {
			t.Errorf("%s: not mended: %v", name, err)
		}
		if b, err := os.ReadFile(module); err != nil || string(b) != "A = 1\n" {
			t.Errorf("%s: mended to %q, %v", name, b, err)
		}
	}
	// Only reading can see this one.
	edit("A = 7\n")
	must(os.Chtimes(module, wheel.Time, wheel.Time))
	if err := c.Verify(w.SHA256, settings.Target); !errors.Is(err, cache.ErrDamaged) {
		t.Errorf("same size, same time, other content: %v", err)
	}
	leftovers(t, dir)
}

func TestRefusesOtherContent(t *testing.T) {
	x, dir := serve(t), t.TempDir()
	c := cache.New(dir)
	w := x.add("a", "1.0", map[string]string{"a.py": "A = 1\n"})
	good := x.files[w.File]
	for name, change := range map[string]struct {
		content []byte
		want    string
	}{
		"other bytes": {append([]byte{good[0] ^ 1}, good[1:]...), "this is not the file that was locked"},
		"longer":      {append(append([]byte(nil), good...), 0), "more than"},
		"not found":   {nil, "404"},
	} {
		x.files[w.File] = change.content
		if change.content == nil {
			delete(x.files, w.File)
		}
		before := x.requests.Load()
		_, err := c.Ensure(t.Context(), []cache.Wheel{w}, settings)
		if err == nil || !strings.Contains(err.Error(), change.want) || !strings.HasPrefix(err.Error(), "download "+w.File) {
			t.Errorf("%s: %v", name, err)
		}
		if n := x.requests.Load() - before; n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if _, ok, _ := c.Find(w.SHA256, settings.Target); ok {
			t.Errorf("%s: stored", name)
		}
	}
	// The right hash of something that is no wheel.
	bad := []byte("no wheel")
	x.files["z-1-py3-none-any.whl"] = bad
	if _, err := c.Ensure(t.Context(), []cache.Wheel{x.pin("z-1-py3-none-any.whl", bad)}, settings); err == nil || !strings.Contains(err.Error(), "read zip") {
		t.Error(err)
	}
	x.files[w.File] = good
	if _, err := c.Ensure(t.Context(), []cache.Wheel{w}, settings); err != nil {
		t.Errorf("control: %v", err)
	}
	leftovers(t, dir)
}

func TestSizeMayBeUnknown(t *testing.T) {
	x := serve(t)
	w := x.add("a", "1.0", nil)
	w.Size = 0
	if _, err := cache.New(t.TempDir()).Ensure(t.Context(), []cache.Wheel{w}, settings); err != nil {
		t.Error(err)
	}
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	x := serve(t)
	w := x.add("a", "1.0", nil)
	w.URL = strings.Replace(w.URL, "http://", "http://user:secret@", 1) + "x"
	_, err := cache.New(t.TempDir()).Ensure(t.Context(), []cache.Wheel{w}, settings)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	x.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err = cache.New(t.TempDir()).Ensure(ctx, []cache.Wheel{w}, settings); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestCancel(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("P"))
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		<-release
	}))
	defer s.Close()
	defer close(release)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	sum := strings.Repeat("ab", 32)
	_, err := cache.New(dir).Ensure(ctx, []cache.Wheel{{File: "a-1-py3-none-any.whl", URL: s.URL, SHA256: sum, Size: 5}}, settings)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	leftovers(t, dir)
}

func TestStoreFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(t.TempDir(), "a-1.0-py3-none-any.whl")
	if err := os.WriteFile(path, pypi.MakeWheel("a", "1.0", nil, map[string]string{"a.py": "A"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e, err := cache.New(dir).StoreFile(t.Context(), path, settings)
		if err != nil || e.Name != "a" {
			t.Errorf("%s %v", e.Name, err)
		}
	}
	if _, err := cache.New(dir).StoreFile(t.Context(), path+"x", settings); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	leftovers(t, dir)
}

func TestHashIsNoPath(t *testing.T) {
	for _, sum := range []string{"", "../../etc", strings.Repeat("AB", 32), strings.Repeat("ab", 31)} {
		if _, ok, err := cache.New(t.TempDir()).Find(sum, settings.Target); ok || err == nil {
			t.Errorf("%q accepted", sum)
		}
	}
}
