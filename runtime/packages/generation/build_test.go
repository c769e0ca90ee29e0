//go:build linux

package generation_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages/generation"
	"blast.example/blast/runtime/packages/wheel"
	"blast.example/blast/testfixtures/pypi"
)

// python runs the environment's own Python on the host.
func (w *world) python(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.current("bin/python"), args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("python %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func links(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Nlink
}

// A generation is a virtual environment, also with nothing in it.
func TestEmptyIsAnEnvironment(t *testing.T) {
	w := newWorld(t)
	w.install(t, object(w.set("")))
	got := w.python(t, "-c", "import sys; print(sys.prefix, sys.base_prefix, [p for p in sys.path if 'site-packages' in p or 'dist-packages' in p])")
	want := w.current() + " /usr ['" + w.site() + "']\n"
	if w.found.Path == "/usr/bin/python"+w.found.Env.PythonVersion && got != want {
		t.Errorf("%swant %s", got, want)
	}
	for _, name := range []string{"python3", "python" + w.found.Env.PythonVersion} {
		if _, err := os.Stat(w.current("bin", name)); err != nil {
			t.Error(err)
		}
	}
	if to, err := os.Readlink(w.current("lib64")); err != nil || to != "lib" {
		t.Errorf("%s %v", to, err)
	}
	if fi, err := os.Stat(w.current(".blast.json")); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

// A generation costs names: its files are the cache's. Where they can't be, they are
// copies that Observe can't tell from links.
func TestLinksOrCopies(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello), w.pin(t, greeting)))
	w.install(t, to)
	if n := links(t, w.site("hello/words.py")); n != 2 {
		t.Errorf("%d links", n)
	}
	linked := w.onDisk(t)
	w.apply(t, to, nil)
	w.commit(t, to, nil)

	elsewhere := t.TempDir()
	if err := unix.Mount("tmpfs", elsewhere, "tmpfs", 0, "mode=755"); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer func() { do(t, unix.Unmount(elsewhere, 0)) }()
	w.host = generation.New(filepath.Join(elsewhere, "cache"))
	w.install(t, to)
	if n := links(t, w.site("hello/words.py")); n != 1 {
		t.Errorf("%d links to another file system", n)
	}
	bytecode := func(s string) (out []string) { // its bytes differ each time
		for line := range strings.Lines(s) {
			if !strings.Contains(line, ".pyc") {
				out = append(out, line)
			}
		}
		return out
	}
	if a, b := strings.Join(bytecode(linked), ""), strings.Join(bytecode(w.onDisk(t)), ""); a != b {
		t.Errorf("copies are\n%s\nlinks are\n%s", b, a)
	}
}

// What is copied is looked at: a change that leaves size and time is seen, and of the
// half-made generation nothing is left.
func TestCopyIsVerified(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	elsewhere := t.TempDir()
	if err := unix.Mount("tmpfs", elsewhere, "tmpfs", 0, "mode=755"); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer func() { do(t, unix.Unmount(elsewhere, 0)) }()
	w.host = generation.New(filepath.Join(elsewhere, "cache"))
	w.install(t, to)
	w.apply(t, to, nil)
	w.commit(t, to, nil)
	found, err := filepath.Glob(filepath.Join(elsewhere, "cache/wheels/*/tree/lib/python*/site-packages/hello/words.py"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	do(t, os.WriteFile(found[0], []byte("word = 'bad'\n"), 0o444), os.Chtimes(found[0], wheel.Time, wheel.Time))
	err = w.host.Apply(t.Context(), w.env, change(nil, to))
	if err == nil || !strings.Contains(err.Error(), "words.py: its content in the cache was changed") {
		t.Error(err)
	}
	if es, err := os.ReadDir(filepath.Join(w.env.Dir, "packages")); err != nil || len(es) > 0 {
		t.Errorf("left: %v %v", es, err)
	}
}

// The umask of whoever started the daemon decides nothing.
func TestUmask(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	w := newWorld(t)
	w.install(t, object(w.set("a\n", w.pin(t, hello))))
	for _, path := range []string{filepath.Join(w.env.Dir, "packages"), w.current("."), w.site("hello"), w.current("bin")} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v %v", path, fi.Mode(), err)
		}
	}
	if fi, err := os.Stat(w.lockPath()); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

// Projects that don't go together fail with both names, and nothing is left.
func TestClash(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello), w.pin(t, pypi.Wheel{Name: "other", Version: "3", Files: map[string]string{"hello/words.py": "word = 'other'\n"}})))
	err := w.host.Apply(t.Context(), w.env, change(nil, to))
	if err == nil || !strings.Contains(err.Error(), "hello 1.0 and other 3 both have hello/words.py, with different content; remove one") {
		t.Error(err)
	}
	w.apply(t, to, nil)
	w.commit(t, to, nil)
}

// A project called pip is what pip is then.
func TestPipIsDeclared(t *testing.T) {
	w := newWorld(t)
	real := pypi.Wheel{Name: "pip", Version: "99.1", Scripts: map[string]string{"pip": "pip:main"}, Files: map[string]string{"pip/__init__.py": "def main():\n    print('the real one')\n", "pip/__main__.py": "from pip import main\nmain()\n"}}
	w.install(t, object(w.set("a\n", w.pin(t, real))))
	if got := w.python(t, "-m", "pip"); got != "the real one\n" {
		t.Error(got)
	}
	if _, err := os.Lstat(w.site("pip/_command.py")); err == nil {
		t.Error("Blast's own is there, too")
	}
	if got := w.python(t, "-c", "import importlib.metadata as m; print([d.metadata['Name'] for d in m.distributions()])"); got != "['pip']\n" {
		t.Error(got)
	}
}

// A download that fails says what and from where; nothing changes.
func TestDownloadFails(t *testing.T) {
	w := newWorld(t)
	a := object(w.set("a\n", w.pin(t, hello)))
	w.install(t, a)
	was := w.onDisk(t)
	two := w.pin(t, hello2)
	b := object(w.set("b\n", two))
	for name, f := range map[string]struct {
		fault pypi.Fault
		want  string
	}{
		"gone":     {pypi.Fault{Status: 404}, "404"},
		"tampered": {pypi.Fault{Tamper: true}, "SHA-256"},
	} {
		w.index.Break("/files/"+two.File, f.fault)
		err := w.host.Apply(t.Context(), w.env, change(a, b))
		if err == nil || !strings.Contains(err.Error(), f.want) || !strings.Contains(err.Error(), two.File) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", name, err)
		}
		w.apply(t, b, a)
		w.commit(t, b, a)
		w.sees(t, a)
		if now := w.onDisk(t); now != was {
			t.Errorf("%s: %s", name, now)
		}
	}
	w.index.Mend("/files/" + two.File)
	w.apply(t, a, b)
	w.commit(t, a, b)
	w.sees(t, b)
}

// Cancelled in the middle of a download, Apply returns at once.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	one := w.pin(t, many("1"))
	w.index.Break("/files/"+one.File, pypi.Fault{Stall: true})
	ctx, cancel := context.WithCancel(t.Context())
	var told []string
	ctx = kinds.WithProgress(ctx, func(s string) {
		told = append(told, s)
		if len(told) == 2 { // the first bytes are there
			cancel()
		}
	})
	begin := time.Now()
	err := w.host.Apply(ctx, w.env, change(nil, object(w.set("a\n", one))))
	if !errors.Is(err, context.Canceled) || time.Since(begin) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if len(told) < 2 || !strings.HasPrefix(told[0], "0 of 1 packages, 0.0 of 0.") {
		t.Errorf("%q", told)
	}
	es, err := os.ReadDir(filepath.Join(w.env.Dir, "packages"))
	if err != nil || len(es) > 0 {
		t.Errorf("left: %v %v", es, err)
	}
}

// What the cache holds in the wrong way is fetched anew, not installed.
func TestDamagedCache(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	w.install(t, to)
	do(t, os.WriteFile(w.site("hello/words.py"), []byte("word = 'evil'\n"), 0o444)) // the cache's, too
	if d := w.drift(t); len(d) != 1 || !strings.Contains(d[0], "hello/words.py was changed on") {
		t.Error(d)
	}
	w.apply(t, w.observe(t), to)
	w.sees(t, to)
	if got := w.python(t, "-c", "import hello.words; print(hello.words.word)"); got != "one\n" {
		t.Error(got)
	}
}

// Nobody else's packages are installed from a cache that others can write to.
func TestCacheIsPrivate(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	open, foreign, linked, sticky := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	do(t, os.Chmod(sticky, 0o777|os.ModeSticky), os.Chmod(open, 0o777), os.Chown(foreign, 1000, 1000), os.Symlink("/var/cache", filepath.Join(linked, "x")), os.Lchown(filepath.Join(linked, "x"), 1000, 1000))
	for cache, why := range map[string]string{
		open:                              "can be written to by others",
		filepath.Join(open, "wheels"):     "can be written to by others",
		sticky:                            "can be written to by others",
		foreign:                           "belongs to user 1000",
		filepath.Join(foreign, "a/b"):     "belongs to user 1000",
		filepath.Join(linked, "x/wheels"): "belongs to user 1000",
	} {
		h := generation.New(cache)
		if err := h.Apply(t.Context(), w.env, change(nil, to)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", cache, err)
		}
		ps, err := h.Check(t.Context(), w.env, to)
		if err != nil || len(ps) != 1 || !strings.Contains(ps[0].Reason, why) || !strings.Contains(ps[0].Fix, "XDG_CACHE_HOME") {
			t.Errorf("%s: %v %v", cache, ps, err)
		}
	}
}
