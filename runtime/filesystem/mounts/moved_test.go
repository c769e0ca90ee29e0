//go:build linux

package mounts_test

import (
	"os"
	"path/filepath"
	"testing"

	"blast.example/blast/runtime/filesystem"
)

// move moves the project while it is up, and puts a folder of somebody else's in its
// place.
func (w *world) move(t *testing.T) (old string) {
	t.Helper()
	old = w.env.Project
	to := old + "-moved"
	if err := os.Rename(old, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(to) })
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "theirs"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.env.Project, w.env.Dir = to, filepath.Join(to, ".blast", "default")
	return old
}

// A project that is moved while it is up stays guarded, where it is. What lies in its
// old place is neither shown nor touched.
func TestGuardOfAMovedProject(t *testing.T) {
	w := newWorld(t, map[string]string{"app.py": "app", "blast.hcl": "rules", ".env": "secret 1"})
	if err := w.env.Claim("lineage", nil); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	w.start(t, box1)
	tree := w.usual(box1, filesystem.Mount{Name: "mount./srv", Target: "/srv", Type: filesystem.Bind, Source: outside, Access: "rw"},
		filesystem.Mount{Name: "mount./srv", Target: "/srv/.env", Type: filesystem.Hide})
	tree.Project = w.env.Project
	w.create(t, tree)
	w.sync(t)
	old := w.move(t)
	for range 3 {
		w.shell(t, "cp .env n && mv n .env") // its directory is the new one
		eventually(t, "not put back: "+w.log.String(), func() bool { code, _ := w.run(t, box1, "cat /workspace/.env"); return code != 0 })
	}
	w.shell(t, "for i in 1 2 3 4 5 6 7 8 9; do rm -rf .git && break; done") // placeholders: they are made again, at times meanwhile
	eventually(t, "not put back: "+w.log.String(), func() bool { code, _ := w.run(t, box1, "test -d /workspace/.git/hooks"); return code == 0 })
	w.must(t, box1, "cat /workspace/app.py; ! test -e /workspace/theirs; echo x >/workspace/x")
	w.sees(t, tree)
	// It is applied in its new place, and nothing is mounted anew.
	before := w.mountinfo(t, box1)
	next := w.usual(box1, tree.Mounts[len(tree.Mounts)-2:]...)
	next.Project = w.env.Project
	c := w.apply(t, &tree, &next)
	if after := w.mountinfo(t, box1); after != before {
		t.Errorf("mounts were\n%s\nand are\n%s", before, after)
	}
	// And the undo of that works, too.
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, tree)
	w.commit(t, w.apply(t, &tree, &next))
	w.sees(t, next)
	w.commit(t, w.apply(t, &next, nil))
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
	for dir, want := range map[string][]string{old: {"theirs"}, w.env.Project: {".blast", ".env", "app.py", "blast.hcl", "x"}, outside: nil} {
		es, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(es) != len(want) {
			t.Errorf("%s holds %v, want %v", dir, es, want)
		}
	}
}

// When a project is removed, placeholders in other folders are still on record.
func TestPlaceholdersOutliveTheProject(t *testing.T) {
	w := newWorld(t, files)
	outside := t.TempDir()
	w.start(t, box1)
	tree := w.usual(box1, filesystem.Mount{Name: "mount./srv", Target: "/srv", Type: filesystem.Bind, Source: outside, Access: "rw"},
		filesystem.Mount{Name: "mount./srv", Target: "/srv/sub/.env", Type: filesystem.Hide})
	w.create(t, tree)
	if _, err := os.Lstat(filepath.Join(outside, "sub/.env")); err != nil {
		t.Fatal("control:", err)
	}
	if err := os.RemoveAll(filepath.Join(w.env.Project, ".blast")); err != nil {
		t.Fatal(err)
	}
	w.env = w.env.Orphan()
	if err := os.Mkdir(w.env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.commit(t, w.apply(t, &tree, nil))
	w.end(t, box1)
	w.sync(t)
	if es, err := os.ReadDir(outside); err != nil || len(es) > 0 {
		t.Errorf("left: %v, %v", es, err)
	}
	w.nothingLeft(t)
}

// A copy of a project has the list of placeholders of the other one, too. They are
// none of its own.
func TestPlaceholdersOfACopy(t *testing.T) {
	w := newWorld(t, files)
	outside := t.TempDir()
	w.start(t, box1)
	tree := w.usual(box1, filesystem.Mount{Name: "mount./srv", Target: "/srv", Type: filesystem.Bind, Source: outside, Access: "rw"},
		filesystem.Mount{Name: "mount./srv", Target: "/srv/.env", Type: filesystem.Hide})
	w.create(t, tree)
	list, err := os.ReadFile(filepath.Join(w.env.Dir, "placeholders.json"))
	if err != nil {
		t.Fatal(err)
	}
	other := newWorld(t, files)
	other.env.ID = "ffffffffffff"
	if err := os.WriteFile(filepath.Join(other.env.Dir, "placeholders.json"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	other.sync(t)
	if _, err := os.Lstat(filepath.Join(outside, ".env")); err != nil {
		t.Error("the copy removed it:", err)
	}
	if _, err := os.Lstat(filepath.Join(w.env.Project, ".git/hooks")); err != nil {
		t.Error("the copy removed it:", err)
	}
}
