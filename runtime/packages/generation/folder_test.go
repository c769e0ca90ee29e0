//go:build linux

package generation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/pypi"
)

// The packages folder is no link to elsewhere, and nobody else's.
func TestFolderIsOurs(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	dir := filepath.Join(w.env.Dir, "packages")
	unlink := func() {}
	link := func(path string) {
		do(t, os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		unlink = func() { do(t, os.Remove(path), os.Rename(path+"2", path)) }
	}
	for name, trap := range map[string]func(){
		"link":            func() { do(t, os.Symlink(t.TempDir(), dir)) },
		"file":            func() { do(t, os.WriteFile(dir, nil, 0o644)) },
		"foreign":         func() { do(t, os.Mkdir(dir, 0o755), os.Chown(dir, 1000, 1000)) },
		"link above":      func() { link(w.env.Dir) },
		"link at the top": func() { link(filepath.Dir(w.env.Dir)) },
	} {
		trap()
		if err := w.host.Apply(t.Context(), w.env, change(nil, to)); err == nil {
			t.Errorf("%s: it was used", name)
		}
		if _, err := w.host.Observe(t.Context(), w.env); err == nil {
			t.Errorf("%s: it was looked at", name)
		}
		if err := w.host.Commit(t.Context(), w.env, change(to, nil)); err == nil {
			t.Errorf("%s: it was emptied", name)
		}
		unlink()
		unlink = func() {}
		do(t, os.RemoveAll(dir))
	}
	w.install(t, to)
}

// What is mounted in a generation is data of somebody: nothing of it is removed.
func TestRemovalStopsAtMounts(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	w.install(t, to)
	data := t.TempDir()
	do(t, os.WriteFile(filepath.Join(data, "precious"), nil, 0o644))
	point, err := filepath.EvalSymlinks(w.site("hello"))
	do(t, err)
	if err := unix.Mount(data, point, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	if d := strings.Join(w.drift(t), "; "); !strings.Contains(d, "something is mounted there") {
		t.Error(d)
	}
	w.apply(t, to, nil)
	err = w.host.Commit(t.Context(), w.env, change(to, nil))
	if err == nil || !strings.Contains(err.Error(), "hello: something is mounted there; unmount it") {
		t.Error(err)
	}
	do(t, unix.Unmount(point, 0))
	if _, err := os.Stat(filepath.Join(data, "precious")); err != nil {
		t.Error(err)
	}
	w.commit(t, to, nil) // the next command goes on
}

// A link in a generation is removed, and not what it leads to.
func TestRemovalFollowsNoLinks(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	w.install(t, to)
	data := t.TempDir()
	do(t, os.WriteFile(filepath.Join(data, "precious"), nil, 0o644), os.Symlink(data, w.site("hello/data")))
	w.apply(t, to, nil)
	w.commit(t, to, nil)
	if _, err := os.Stat(filepath.Join(data, "precious")); err != nil {
		t.Error(err)
	}
}

// As long as a sandbox shows the folder it stays, or the next generation would be
// made in another one of that name.
func TestFolderStaysForASandbox(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("a\n", w.pin(t, hello)))
	w.install(t, to)
	root := filepath.Join(w.env.Run, "root-0123456789ab")
	do(t, os.MkdirAll(root, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(w.env.Run) })
	w.apply(t, to, nil)
	do(t, w.host.Commit(t.Context(), w.env, change(to, nil)))
	es, err := os.ReadDir(filepath.Join(w.env.Dir, "packages"))
	if err != nil || len(es) > 0 {
		t.Errorf("%v %v", es, err)
	}
	do(t, os.Remove(root))
	w.commit(t, to, nil)
}

// Only some of many differences are told.
func TestDriftIsShort(t *testing.T) {
	w := newWorld(t)
	w.install(t, object(w.set("a\n", w.pin(t, many("1")))))
	do(t, os.RemoveAll(w.site("many")))
	d := w.drift(t)
	if len(d) != 6 || d[5] != "626 more files differ" {
		t.Errorf("%q", d)
	}
}

// The interpreter is what packages were chosen for, at plan time and later.
func TestInterpreterIsTheSame(t *testing.T) {
	w := newWorld(t)
	for want, set := range map[string]func() (p, v, tags string){
		"and packages were chosen for 3.1.0": func() (p, v, tags string) { return w.found.Path, "3.1.0", w.found.Interpreter.Tags },
		"now takes other wheels":             func() (p, v, tags string) { return w.found.Path, w.found.Interpreter.Version, "000000000000" },
		"can't be used":                      func() (p, v, tags string) { return "/usr/bin/python3.99", "3.99.0", "" },
		"is no Python in":                    func() (p, v, tags string) { return "/bin/sh", "3.11.2", "" },
	} {
		s := w.set("a\n", w.pin(t, hello))
		s.Python.Path, s.Python.Version, s.Python.Tags = set()
		ps, err := w.host.Check(t.Context(), w.env, object(s))
		if err != nil || len(ps) != 1 || ps[0].Item != "python.version" || !strings.Contains(ps[0].Reason, want) || ps[0].Fix == "" {
			t.Errorf("%s: %v %v", want, ps, err)
		}
		if err := w.host.Apply(t.Context(), w.env, change(nil, object(s))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if ps, err := w.host.Check(t.Context(), w.env, object(w.set("a\n", w.pin(t, hello)))); err != nil || len(ps) > 0 {
		t.Errorf("%v %v", ps, err)
	}
}

// Looking at five thousand files, and making a generation of them out of the cache.
func Benchmark5000(b *testing.B) {
	w := newWorld(b)
	wheel := pypi.Wheel{Name: "big", Version: "1", Files: map[string]string{}}
	for i := range 5000 {
		wheel.Files[fmt.Sprintf("big/p%d/q%d/m%d.txt", i%20, i%100, i)] = fmt.Sprint(i)
	}
	to := object(w.set("a\n", w.pin(b, wheel)))
	w.install(b, to)
	b.Run("observe", func(b *testing.B) {
		for range b.N {
			w.sees(b, to)
		}
	})
	b.Run("make", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			w.apply(b, to, nil)
			w.commit(b, to, nil)
			b.StartTimer()
			w.apply(b, nil, to)
		}
	})
	b.Run("remove", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			w.apply(b, nil, to)
			b.StartTimer()
			w.apply(b, to, nil)
			w.commit(b, to, nil)
		}
	})
}
