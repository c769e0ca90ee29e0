//go:build linux

package generation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An undo puts back what was there, whatever it was; a change that is final doesn't.
func TestLockFileIsPutBack(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("new\n", w.pin(t, hello)))
	for name, before := range map[string]func(){
		"nothing": func() {},
		"a file": func() {
			do(t, os.WriteFile(w.lockPath(), []byte("old\n"), 0o640), os.Chmod(w.lockPath(), 0o640), os.Chown(w.lockPath(), 1001, 1002))
		},
		"an empty file": func() { do(t, os.WriteFile(w.lockPath(), nil, 0o600), os.Chown(w.lockPath(), 1000, 1000)) },
		"the same file": func() { do(t, os.WriteFile(w.lockPath(), []byte("new\n"), 0o600)) },
	} {
		before()
		was := w.lock(t)
		w.apply(t, nil, to)
		if name == "the same file" {
			if now := w.lock(t); now != was {
				t.Errorf("%s: written: %s", name, now)
			}
			w.apply(t, to, nil)
			do(t, os.Remove(w.lockPath()))
			continue
		}
		do(t, os.WriteFile(w.lockPath(), []byte("meanwhile\n"), 0o644))
		w.apply(t, nil, to) // what was kept first counts
		if now := w.lock(t); now != "[1000 1000] -rw-r--r-- new\n" {
			t.Errorf("%s: applied: %s", name, now)
		}
		w.apply(t, to, nil)
		w.apply(t, to, nil)
		w.commit(t, to, nil)
		if now := w.lock(t); now != was {
			t.Errorf("%s: there is\n%s, was\n%s", name, now, was)
		}
		w.install(t, to)
		w.apply(t, to, nil)
		w.commit(t, to, nil)
		if now := w.lock(t); !strings.HasSuffix(now, "new\n") {
			t.Errorf("%s: a deleted set took its lock file with it: %s", name, now)
		}
		do(t, os.Remove(w.lockPath()))
	}
}

// A lock file that somebody edited is drift. Mending it writes over it, and the undo
// of that brings the edit back.
func TestMendedLockFileIsPutBack(t *testing.T) {
	w := newWorld(t)
	want := object(w.set("mine\n", w.pin(t, hello)))
	w.install(t, want)
	do(t, os.WriteFile(w.lockPath(), []byte("edited\n"), 0o644))
	if d := w.drift(t); len(d) != 1 || d[0] != "pylock.blast.toml was changed" {
		t.Fatal(d)
	}
	do(t, os.Chown(w.lockPath(), w.env.UID+7, 0))
	if d, want := w.drift(t), fmt.Sprintf("pylock.blast.toml was changed, and belongs to user %d", w.env.UID+7); len(d) != 1 || d[0] != want {
		t.Errorf("%q, want %q", d, want)
	}
	drifted := w.observe(t)
	w.apply(t, drifted, want)
	w.sees(t, want)
	w.apply(t, want, drifted)
	w.sees(t, drifted)
	do(t, w.host.Commit(t.Context(), w.env, change(want, drifted)))
	w.tidy(t, want)
	if !strings.HasSuffix(w.lock(t), "edited\n") {
		t.Error(w.lock(t))
	}
	// The undo of a change that died before it wrote anything writes nothing, too.
	w.apply(t, want, drifted)
	if !strings.HasSuffix(w.lock(t), "edited\n") {
		t.Error(w.lock(t))
	}
}

// A project without packages gets no lock file, but one that had some doesn't keep
// saying so.
func TestLockFileOfNothing(t *testing.T) {
	w := newWorld(t)
	none, some := object(w.set("none\n")), object(w.set("some\n", w.pin(t, hello)))
	w.install(t, none)
	if now := w.lock(t); now != "none" {
		t.Error(now)
	}
	w.apply(t, none, some)
	w.apply(t, some, none)
	w.commit(t, some, none)
	w.sees(t, none)
	if now := w.lock(t); now != "none" {
		t.Errorf("taken back: %s", now)
	}
	w.apply(t, none, some)
	w.commit(t, none, some)
	w.apply(t, some, none)
	w.commit(t, some, none)
	w.sees(t, none)
	if now := w.lock(t); !strings.HasSuffix(now, " none\n") {
		t.Error(now)
	}
}

// The project belongs to somebody who would like root to write elsewhere, or to wait.
func TestHostileProject(t *testing.T) {
	w := newWorld(t)
	outside := filepath.Join(t.TempDir(), "victim")
	to := object(w.set("new\n", w.pin(t, hello)))
	for name, c := range map[string]struct {
		trap func()
		want string
	}{
		"link out":      {func() { do(t, os.WriteFile(outside, []byte("safe"), 0o600), os.Symlink(outside, w.lockPath())) }, "not a regular file"},
		"dangling link": {func() { do(t, os.Symlink(outside+"2", w.lockPath())) }, "not a regular file"},
		"pipe":          {func() { do(t, unix.Mkfifo(w.lockPath(), 0o666)) }, "not a regular file"},
		"folder":        {func() { do(t, os.Mkdir(w.lockPath(), 0o755)) }, "not a regular file"},
		"too large":     {func() { do(t, os.WriteFile(w.lockPath(), nil, 0o644), os.Truncate(w.lockPath(), 33<<20)) }, "32 MiB"},
	} {
		c.trap()
		err := w.host.Apply(t.Context(), w.env, change(nil, to))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.observe(t)) > 0 {
			t.Errorf("%s: it was switched", name)
		}
		w.apply(t, to, nil)
		w.commit(t, to, nil)
		do(t, os.RemoveAll(w.lockPath()))
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "safe" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := os.Lstat(outside + "2"); err == nil {
		t.Error("a file was made outside of the project")
	}

	// Where the draft goes, a link waits.
	do(t, os.Symlink(outside, filepath.Join(w.env.Project, ".blast-pylock.blast.toml")))
	w.apply(t, nil, to)
	// And a draft is left by a process that died.
	do(t, os.WriteFile(filepath.Join(w.env.Project, ".blast-pylock.blast.toml"), nil, 0o600))
	w.commit(t, nil, to)
	if b, err := os.ReadFile(outside); err != nil || string(b) != "safe" {
		t.Errorf("written through a draft: %q %v", b, err)
	}
}

func TestLockFileInAFolder(t *testing.T) {
	w := newWorld(t)
	set := w.set("new\n", w.pin(t, hello))
	set.Lock.Path = filepath.Join(w.env.Project, "locks/a.toml")
	problems := func() string {
		t.Helper()
		ps, err := w.host.Check(t.Context(), w.env, object(set))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range ps {
			all = append(all, p.Item+": "+p.Reason+". "+p.Fix)
		}
		return strings.Join(all, "\n")
	}
	if p := problems(); !strings.Contains(p, "python.lock: the project has no folder locks") {
		t.Error(p)
	}
	if err := w.host.Apply(t.Context(), w.env, change(nil, object(set))); err == nil || !strings.Contains(err.Error(), "make the folder locks") {
		t.Error(err)
	}
	do(t, os.Mkdir(filepath.Join(w.env.Project, "locks"), 0o755))
	if p := problems(); p != "" {
		t.Error(p)
	}
	w.install(t, object(set))
	// A folder that leads out is no folder of the project.
	do(t, os.RemoveAll(filepath.Join(w.env.Project, "locks")), os.Symlink(t.TempDir(), filepath.Join(w.env.Project, "locks")))
	if err := w.host.Apply(t.Context(), w.env, change(nil, object(set))); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Error(err)
	}
	do(t, os.Remove(filepath.Join(w.env.Project, "locks")))
	set.Lock.Path = "/etc/elsewhere.toml"
	if p := problems(); !strings.Contains(p, "not in the project") {
		t.Error(p)
	}
	if err := w.host.Apply(t.Context(), w.env, change(nil, object(set))); err == nil {
		t.Error("a lock file outside of the project was accepted")
	}
}

// Two environments of one project share a lock file if they want it the same.
func TestLockFileIsOnlyWrittenIfItDiffers(t *testing.T) {
	w := newWorld(t)
	to := object(w.set("same\n", w.pin(t, hello)))
	do(t, os.WriteFile(w.lockPath(), []byte("same\n"), 0o600))
	before, err := os.Stat(w.lockPath())
	do(t, err)
	w.install(t, to)
	after, err := os.Stat(w.lockPath())
	do(t, err)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("it was written again")
	}
}

// A set says where its lock file was when it was applied. After the project was moved
// it is that of the folder where the project is, for undo and drift, too.
func TestLockFileOfAMovedProject(t *testing.T) {
	w := newWorld(t)
	one := object(w.set("one\n", w.pin(t, hello)))
	two := object(w.set("two\n", w.pin(t, hello)))
	w.install(t, one)
	w.apply(t, one, two) // and its process dies
	to := w.env.Project + "-moved"
	do(t, os.Rename(w.env.Project, to))
	do(t, os.Mkdir(w.env.Project, 0o755)) // somebody else's by now
	old := w.env.Project
	w.env.Project, w.env.Dir = to, filepath.Join(to, ".blast", "default")
	w.apply(t, two, one)
	w.commit(t, two, one)
	w.sees(t, one)
	if now := w.lock(t); !strings.HasSuffix(now, "one\n") {
		t.Errorf("the undo left %s", now)
	}
	w.apply(t, one, two)
	w.commit(t, one, two)
	w.sees(t, two)
	do(t, os.WriteFile(w.lockPath(), []byte("edited\n"), 0o644))
	now, err := w.host.Observe(t.Context(), w.env)
	if err != nil || len(now) != 1 || !strings.Contains(string(now[0].Attrs), "pylock.blast.toml was changed") {
		t.Errorf("the edit is not seen: %v, %v", now, err)
	}
	w.apply(t, two, nil)
	w.commit(t, two, nil)
	if es, err := os.ReadDir(old); err != nil || len(es) > 0 {
		t.Errorf("in the old place there is %v, %v", es, err)
	}
}
