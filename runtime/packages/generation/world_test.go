//go:build linux

package generation_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/generation"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/pypi"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(asDaemon); job != "" {
		os.Exit(daemon(job))
	}
	os.Exit(sandboxtest.Main(m))
}

// world is an environment, an index and a host with a cache of its own.
type world struct {
	env   state.Env
	host  *generation.Host
	index *pypi.Index
	files string // URL of the index's files
	cache string
	found *interpreter.Found
}

// newWorld makes a world in which nothing was installed yet. The project belongs to
// somebody who isn't root.
func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: generations belong to it")
	}
	project := t.TempDir()
	if err := os.Chown(project, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	return worldOf(t, state.NewEnv(project, "default", 1000, 1000))
}

func worldOf(t testing.TB, env state.Env) *world {
	t.Helper()
	found, err := interpreter.Find(t.Context(), "")
	if err != nil {
		t.Skip(err)
	}
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := &world{env: env, index: pypi.New(), cache: filepath.Join(t.TempDir(), "cache"), found: found}
	w.files = strings.TrimSuffix(pypi.Serve(t, w.index), "simple/") + "files/"
	w.host = generation.New(w.cache)
	return w
}

// pin adds a wheel to the index and pins it.
func (w *world) pin(t testing.TB, wheel pypi.Wheel) packages.Pinned {
	t.Helper()
	return w.pinFile(t, wheel.Name, wheel.Version, wheel.Filename(), wheel.Bytes())
}

func (w *world) pinFile(t testing.TB, name, version, file string, b []byte) packages.Pinned {
	t.Helper()
	if err := w.index.AddFile(file, b); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return packages.Pinned{Name: name, Version: version, File: file, URL: w.files + file, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b)), Direct: true}
}

// set is packages.set with these projects; lock is the content of its lock file.
func (w *world) set(lock string, ps ...packages.Pinned) packages.Set {
	return packages.Set{
		Wishes: packages.Wishes{LockPath: "pylock.blast.toml"}, Python: w.found.Interpreter, Packages: append([]packages.Pinned{}, ps...),
		Lock: packages.Lock{Path: filepath.Join(w.env.Project, "pylock.blast.toml"), Content: lock},
	}
}

func object(s packages.Set) []plan.Object {
	return []plan.Object{plan.NewObject(packages.SetAddr, s, nil)}
}

func change(from, to []plan.Object) plan.Change {
	c := plan.Change{Addr: packages.SetAddr}
	if from != nil {
		c.From = from[0].Attrs
	}
	if to != nil {
		c.To = to[0].Attrs
	}
	return c
}

func (w *world) apply(t testing.TB, from, to []plan.Object) {
	t.Helper()
	if err := w.host.Apply(t.Context(), w.env, change(from, to)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) commit(t testing.TB, from, to []plan.Object) {
	t.Helper()
	if err := w.host.Commit(t.Context(), w.env, change(from, to)); err != nil {
		t.Fatal(err)
	}
	w.tidy(t, to)
}

// tidy fails if anything is left that belongs to no object.
func (w *world) tidy(t testing.TB, want []plan.Object) {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(w.env.Dir, "packages"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, e.Name())
	}
	var only []string
	for _, o := range want {
		only = append(only, o.Digest(), "current")
	}
	slices.Sort(only)
	if !slices.Equal(got, only) || want == nil && err == nil {
		t.Fatalf("left in the packages folder: %q, want %q", got, only)
	}
	if drafts, _ := filepath.Glob(filepath.Join(w.env.Project, ".blast-*")); len(drafts) > 0 {
		t.Fatalf("left in the project: %q", drafts)
	}
}

// install applies and commits a set where nothing was.
func (w *world) install(t testing.TB, to []plan.Object) {
	t.Helper()
	w.apply(t, nil, to)
	w.commit(t, nil, to)
	w.sees(t, to)
}

func (w *world) observe(t testing.TB) []plan.Object {
	t.Helper()
	now, err := w.host.Observe(t.Context(), w.env)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (w *world) sees(t testing.TB, want []plan.Object) {
	t.Helper()
	now := w.observe(t)
	if len(now) != len(want) || len(now) == 1 && string(now[0].Attrs) != string(want[0].Attrs) {
		t.Fatalf("Observe sees\n%s\nwant\n%s", now, want)
	}
}

// drift is what Observe finds changed.
func (w *world) drift(t testing.TB) []string {
	t.Helper()
	var s packages.Set
	for _, o := range w.observe(t) {
		if err := o.Decode(&s); err != nil {
			t.Fatal(err)
		}
	}
	return s.Drift
}

// current is a path in the generation that counts.
func (w *world) current(names ...string) string {
	return filepath.Join(append([]string{w.env.Dir, "packages", "current"}, names...)...)
}

func (w *world) site(names ...string) string {
	return w.current(append([]string{"lib", "python" + w.found.Env.PythonVersion, "site-packages"}, names...)...)
}

func (w *world) lockPath() string { return filepath.Join(w.env.Project, "pylock.blast.toml") }

// onDisk is all of the packages folder and, where a generation counts, the lock
// file. A lock file alone stays behind on purpose.
func (w *world) onDisk(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	top := filepath.Join(w.env.Dir, "packages")
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".lock.json" { // that goes at Commit: see tidy
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprint(&b, strings.TrimPrefix(p, top), " ", fi.Mode())
		switch {
		case fi.Mode().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %x", fi.ModTime().UTC(), sha256.Sum256(content))
		case fi.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprint(&b, " -> ", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if _, err := os.Lstat(w.current()); err == nil {
		b.WriteString(w.lock(t))
	}
	return b.String()
}

// lock is the lock file: owner, mode and content.
func (w *world) lock(t testing.TB) string {
	t.Helper()
	fi, err := os.Lstat(w.lockPath())
	if os.IsNotExist(err) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(w.lockPath())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v %v %s", ownerOf(fi), fi.Mode(), content)
}

var (
	hello    = pypi.Wheel{Name: "hello", Version: "1.0", Scripts: map[string]string{"hello": "hello:main"}, Files: map[string]string{"hello/__init__.py": "from hello.words import word\n\n\ndef main():\n    print(word)\n", "hello/words.py": "word = 'one'\n"}}
	hello2   = pypi.Wheel{Name: "hello", Version: "2.0", Scripts: map[string]string{"hello": "hello:main"}, Files: map[string]string{"hello/__init__.py": "from hello.words import word\n\n\ndef main():\n    print(word)\n", "hello/words.py": "word = 'two'\n"}}
	greeting = pypi.Wheel{Name: "greeting", Version: "0.1", Requires: []string{"hello>=1"}, Files: map[string]string{"greeting.py": "import hello\n"}}
)
