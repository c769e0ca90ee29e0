//go:build linux

package mounts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/runtime/filesystem"
)

// overlaid is the usual tree with an overlay in the place of the bind.
func (w *world) overlaid(id string, more ...filesystem.Mount) filesystem.Tree {
	t := w.usual(id, more...)
	for i := range t.Mounts {
		if t.Mounts[i].Name == "workspace" {
			t.Mounts[i].Access = filesystem.Overlay
		}
	}
	return t
}

// files lists the project, with what is in its files.
func (w *world) files(t testing.TB) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(w.env.Project, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == w.env.Project {
			return err
		}
		if d.Name() == ".blast" {
			return filepath.SkipDir
		}
		line := strings.TrimPrefix(p, w.env.Project+"/")
		if d.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += " " + string(b)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// What commands write lies in the layer: they see it, and the project has nothing of it,
// nor of what keeps the place of absent protected paths.
func TestOverlay(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one", "pkg/b.py": "two", "blast.hcl": "rules"})
	w.start(t, box1)
	before := w.files(t)
	tree := w.overlaid(box1)
	w.create(t, tree)
	w.sees(t, tree)
	w.sync(t)
	w.must(t, box1, `set -e; cd /workspace; test "$(cat a.py)" = one
		echo changed > a.py; echo new > pkg/new.py; rm pkg/b.py; mkdir -p deep/er; ln -s /etc/passwd deep/link; mv pkg/new.py deep/er/moved.py
		test "$(stat -c %U:%G a.py)" = "$(id -un):$(id -gn)"
		! test -e pkg/b.py; test "$(cat a.py)" = changed`)
	if got := w.files(t); got != before {
		t.Errorf("the project has %q, and had %q", got, before)
	}
	for _, script := range []string{"cat /workspace/.env", "ls /workspace/.blast", "echo x > /workspace/blast.hcl", "echo x > /workspace/.git/config",
		"echo x > /workspace/.git/hooks/pre-commit", "mv /workspace/.git /workspace/g", "rm -rf /workspace/.git/hooks"} {
		if code, out := w.run(t, box1, script); code == 0 {
			t.Errorf("%s: %s", script, out)
		}
	}
	w.sees(t, tree)
}

// Access changes live, both ways, and what was written stays in the layer for when it is wanted again.
func TestOverlayOnAndOff(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one"})
	w.start(t, box1)
	over, rw := w.overlaid(box1), w.usual(box1)
	w.create(t, rw)
	w.commit(t, w.apply(t, &rw, &over))
	w.must(t, box1, "echo layer > /workspace/a.py")
	w.commit(t, w.apply(t, &over, &rw))
	w.sees(t, rw)
	if out := w.must(t, box1, "cat /workspace/a.py"); out != "one" {
		t.Errorf("read-write it shows %q", out)
	}
	c := w.apply(t, &rw, &over)
	if out := w.must(t, box1, "cat /workspace/a.py"); out != "layer\n" {
		t.Errorf("as an overlay again it shows %q", out)
	}
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, rw)
	w.commit(t, w.apply(t, &rw, nil))
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
}

// The size of the layer bounds what is written over the project.
func TestOverlayIsBounded(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	tree.LayerSize = 8 * mib
	w.create(t, tree)
	code, out := w.run(t, box1, "head -c 20000000 /dev/zero > /workspace/big")
	if code == 0 || !strings.Contains(out, "No space left") {
		t.Errorf("%d %s", code, out)
	}
	if out := w.must(t, box1, "rm /workspace/big; echo fits > /workspace/small; cat /workspace/small"); out != "fits\n" {
		t.Error(out)
	}
}

// What the person opens is the project's again: nothing of its placeholder is left.
func TestOverlayForgetsPlaces(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	open := w.overlaid(box1)
	open.Mounts = append(open.Mounts[:5:5], open.Mounts[6:]...) // without .env
	w.commit(t, w.apply(t, &tree, &open))
	w.sees(t, open)
	if code, out := w.run(t, box1, "test ! -e /workspace/.env && test -e /workspace/.git/config"); code != 0 {
		t.Error(out)
	}
	if got := w.files(t); got != "a.py one" {
		t.Error(got)
	}
}

// What the host replaces shows a moment later, but for what was written inside.
func TestOverlayShowsTheHostsChanges(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one", "b.py": "one"})
	w.start(t, box1)
	w.create(t, w.overlaid(box1))
	w.sync(t)
	w.must(t, box1, "cat /workspace/a.py; echo inside > /workspace/b.py; ! test -e /workspace/new.py")
	for _, name := range []string{"a.py", "b.py", "new.py"} {
		w.put(t, name+"~", "two")
		if err := os.Rename(w.path(name+"~"), w.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the host's file doesn't show", func() bool {
		_, out := w.run(t, box1, "cat /workspace/a.py /workspace/b.py /workspace/new.py")
		return out == "twoinside\ntwo"
	})
}
