//go:build linux

package mounts_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/state/snapshot"
	"blast.example/blast/state/snapshot/layer"
	"blast.example/blast/testfixtures/conformance"
)

// save keeps the layer as it is under a name, and returns what a tree says of it when it is
// loaded.
func (w *world) save(t testing.TB, name, id string) filesystem.LayerID {
	t.Helper()
	c, err := w.host.Copy(t.Context(), w.env)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return w.store(t, name, id, func(out io.Writer) (layer.Stats, error) { return c.Pack(t.Context(), out, nil) })
}

func (w *world) store(t testing.TB, name, id string, pack func(io.Writer) (layer.Stats, error)) filesystem.LayerID {
	t.Helper()
	s, err := snapshot.Write(w.env.Project)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	d, err := s.Draft()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	l, _, err := d.Pack(pack)
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Put(name, snapshot.Record{Version: snapshot.Version, Environment: "default", Objects: []plan.Object{}}, d, l, false)
	if err != nil {
		t.Fatal(err)
	}
	return filesystem.LayerID{ID: id, Content: one.Layer.Blob.String(), Snapshot: name}
}

// loaded is a tree in sandbox id with a layer of a snapshot.
func (w *world) loaded(id string, l filesystem.LayerID) filesystem.Tree {
	tree := w.usual(id)
	tree.Layer = l
	return tree
}

// oneLoop waits until the kernel has let go of loop devices that nobody uses.
func (w *world) oneLoop(t testing.TB, n int) {
	t.Helper()
	eventually(t, "loop devices stay", func() bool { return len(w.loops(t)) <= n })
}

const first, second = "00000000000000a1", "00000000000000a2"

// A layer of a snapshot is made beside the one that is there; each sandbox has its own,
// also when guards look after them; and the old one goes when it is final.
func TestLoadLayer(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.sync(t)
	w.must(t, box1, "echo saved >~/file; mkdir -p ~/d; echo x >~/d/x; chmod 700 ~/d; echo t >/var/tmp/t")
	l := w.save(t, "s", first)
	w.must(t, box1, "echo later >~/file; echo new >~/new")
	w.start(t, box2)
	b := w.loaded(box2, l)
	if ps := w.check(t, b); len(ps) > 0 {
		t.Fatalf("%q", ps)
	}
	c := w.apply(t, &a, &b)
	w.sees(t, b)
	if out := w.must(t, box2, "cat ~/file ~/d/x /var/tmp/t; ls ~; stat -c '%U %a' ~/d; echo mine >~/mine"); out != "saved\nx\nt\nd\nfile\nnobody 700\n" {
		t.Errorf("%q", out)
	}
	w.put(t, ".env.new", "secret 2\n") // and the guard of the old one is woken up
	if err := os.Rename(w.path(".env.new"), w.path(".env")); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if out := w.must(t, box1, "cat ~/file ~/new; ls ~"); out != "later\nnew\nd\nfile\nnew\n" {
			t.Fatalf("%q", out)
		}
	}
	// Back, and forth again: each is as it was left.
	w.apply(t, &b, &a)
	w.sees(t, a)
	w.apply(t, &a, &b)
	w.sees(t, b)
	if out := w.must(t, box2, "cat ~/mine"); out != "mine\n" {
		t.Errorf("%q", out)
	}
	w.end(t, box1)
	w.commit(t, c)
	w.sees(t, b)
	w.oneLoop(t, 1)
	if found, _ := filepath.Glob(filepath.Join(w.env.Dir, "layer*")); len(found) != 1 {
		t.Errorf("%v", found)
	}
	// The same once more: what was written since is gone.
	w.must(t, box2, "echo later >~/file")
	w.start(t, box1)
	again := w.loaded(box1, filesystem.LayerID{ID: second, Content: l.Content, Snapshot: "s"})
	c = w.apply(t, &b, &again)
	w.end(t, box2)
	w.commit(t, c)
	if out := w.must(t, box1, "cat ~/file; ls ~"); out != "saved\nd\nfile\n" {
		t.Errorf("%q", out)
	}
	w.commit(t, w.apply(t, &again, nil))
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
}

// A layer without a sandbox is changed, taken back and kept like any other.
func TestLoadWhileDown(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo saved >~/file")
	l := w.save(t, "s", first)
	w.must(t, box1, "echo later >~/file")
	w.end(t, box1)
	rest := w.observed(t)
	if rest == nil || rest.Layer.ID != "" {
		t.Fatalf("%+v", rest)
	}
	w.start(t, box1)
	b := w.loaded(box1, l)
	w.apply(t, rest, &b)
	if out := w.must(t, box1, "cat ~/file"); out != "saved\n" {
		t.Errorf("%q", out)
	}
	w.commit(t, w.apply(t, &b, rest))
	if got := w.observed(t); got == nil || got.Layer.ID != "" {
		t.Errorf("%+v", got)
	}
	w.apply(t, rest, &a)
	if out := w.must(t, box1, "cat ~/file"); out != "later\n" {
		t.Errorf("%q", out)
	}
	w.commit(t, w.apply(t, w.observed(t), &b))
	w.end(t, box1)
	if got := w.observed(t); got == nil || got.Layer.ID != first {
		t.Errorf("%+v", got)
	}
	w.start(t, box1) // as the next apply: the layer that was loaded is kept
	w.must(t, box1, "true")
	w.commit(t, w.apply(t, w.observed(t), &b))
	if out := w.must(t, box1, "cat ~/file"); out != "saved\n" {
		t.Errorf("%q", out)
	}
}

// A reboot in the middle of a load leaves what is on disk, at whatever point: from there
// it goes back, or forth.
func TestRebootWhileLoading(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo saved >~/file")
	l := w.save(t, "s", first)
	w.must(t, box1, "echo later >~/file")
	b := w.loaded(box1, l)
	path := func(name string) string { return filepath.Join(w.env.Dir, name) }
	for when, cut := range map[string]func() error{
		"before":     func() error { return nil },
		"being made": func() error { return os.WriteFile(path("layer.new"), []byte("half"), 0o600) },
		"put aside":  func() error { return os.Rename(path("layer.img"), path("layer.kept")) },
		"in place":   func() error { return w.host.Apply(t.Context(), w.env, change(&a, &b)) },
		"in two ways": func() error {
			return errors.Join(w.host.Apply(t.Context(), w.env, change(&a, &b)), w.host.Apply(t.Context(), w.env, change(&b, &a)))
		},
	} {
		for _, c := range []plan.Change{change(&b, &a), change(&a, &b)} {
			if err := cut(); err != nil {
				t.Fatal(err)
			}
			w.end(t, box1)
			w.oneLoop(t, 0)
			if err := errors.Join(w.host.Restore(t.Context(), w.env, c), w.host.Restore(t.Context(), w.env, c), w.host.Commit(t.Context(), w.env, c)); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			want, text := a, "later\n"
			if string(c.To) == string(attrs(b)) {
				want, text = b, "saved\n"
			}
			if got := w.observed(t); got == nil || got.Layer.ID != want.Layer.ID {
				t.Errorf("%s: %+v", when, got)
			}
			if left, _ := filepath.Glob(path("layer*")); len(left) != 1 {
				t.Errorf("%s: %v", when, left)
			}
			w.start(t, box1)
			w.commit(t, w.apply(t, w.observed(t), &want))
			if out := w.must(t, box1, "cat ~/file"); out != text {
				t.Errorf("%s: %q, want %q", when, out, text)
			}
			w.commit(t, w.apply(t, &want, nil)) // and all over again
			w.create(t, a)
			w.must(t, box1, "echo later >~/file")
		}
	}
	w.end(t, box1)
}

func TestConformanceOfLayers(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo saved >~/file")
	l := w.save(t, "s", first)
	w.commit(t, w.apply(t, &a, nil))
	b := w.loaded(box1, l)
	b.LayerSize = 96 * mib
	obj := func(tree filesystem.Tree) []plan.Object {
		return []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)}
	}
	for name, c := range map[string][2]filesystem.Tree{"empty and loaded": {a, b}, "loaded and empty": {b, a}, "loaded twice": {b, w.loaded(box1, filesystem.LayerID{ID: second, Content: l.Content})}} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, conformance.Case{
				Host: w.host, Env: w.env, A: obj(c[0]), B: obj(c[1]),
				Kernel: func(t *testing.T) string {
					w.oneLoop(t, 1)
					return w.kernel(t, box1)
				},
				Tamper: map[string]func(*testing.T){
					"another layer in its place": func(t *testing.T) {
						w.detach(t, box1, "/home/sandbox")
						w.detach(t, box1, "/var/tmp")
						w.oneLoop(t, 0)
						if out, err := exec.CommandContext(t.Context(), "e2label", filepath.Join(w.env.Dir, "layer.img"), "foreign").CombinedOutput(); err != nil {
							t.Fatalf("%v: %s", err, out)
						}
					},
				},
			})
		})
	}
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
}

// Killed at any moment of a load: from there both it and its reverse get home.
func TestKilledWhileLoading(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo saved >~/file; head -c 8M /dev/urandom >~/large; for i in $(seq 200); do echo $i >~/f$i; done")
	l := w.save(t, "s", first)
	w.must(t, box1, "echo later >~/file")
	b := w.loaded(box1, l)
	says := func(want string, after time.Duration) {
		t.Helper()
		if out := w.must(t, box1, "cat ~/file"); out != want {
			t.Fatalf("killed after %v: %q, want %q", after, out, want)
		}
	}
	begun := time.Now()
	c := change(&a, &b)
	w.mustApply(t, c, 0)
	whole := time.Since(begun)
	says("saved\n", 0)
	back := func(after time.Duration) { // what is there belongs to the empty layer again
		t.Helper()
		w.mustApply(t, c.Reverse(), after)
		w.must(t, box1, "echo later >~/file")
	}
	back(0)
	died := 0
	for i := range 24 {
		after := whole * time.Duration(i) / 20
		if !w.killed(t, c, after) {
			died++
		}
		w.mustApply(t, c.Reverse(), after)
		w.is(t, c.From, "", after)
		says("later\n", after)
		w.killed(t, c, after)
		w.mustApply(t, c, after)
		w.is(t, c.To, "", after)
		says("saved\n", after)
		w.must(t, box1, "echo of the loaded one >~/file")
		back(after)
	}
	if died < 5 {
		t.Errorf("died only %d times: the test shows little", died)
	}
	t.Logf("died in %d of 24, a load takes %v", died, whole)
}

// A layer that is too small, a disk that is full, a snapshot that is gone or damaged: an
// error that says so, and all is as before.
func TestLoadThatFails(t *testing.T) {
	w := newWorld(t, files)
	w.disk(t, "100m")
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "head -c 40M /dev/urandom >~/large; echo saved >~/file")
	l := w.save(t, "s", first)
	w.start(t, box2)
	small := w.loaded(box2, l)
	small.LayerSize = 16 * mib
	if ps := w.check(t, small); len(ps) != 1 || !strings.HasPrefix(ps[0], "size: ") {
		t.Errorf("%q", ps)
	}
	full := w.loaded(box2, l)
	gone := w.loaded(box2, filesystem.LayerID{ID: first, Content: "sha256:" + strings.Repeat("0", 64), Snapshot: "none"})
	if ps := w.check(t, gone); len(ps) != 1 || !strings.Contains(ps[0], "snapshot none") {
		t.Errorf("%q", ps)
	}
	if ps := w.check(t, full); len(ps) > 0 {
		t.Errorf("control: %q", ps)
	}
	for name, c := range map[string]struct {
		tree filesystem.Tree
		says string
		do   func()
	}{
		"too small": {small, "with a larger size", func() {}},
		"disk full": {full, "state folder is full", func() { fillDisk(t, filepath.Join(w.env.Dir, "fill"), 20*mib) }},
		"gone":      {gone, "no such snapshot", func() {}},
		"damaged": {full, "damaged", func() {
			p := filepath.Join(w.env.Project, ".blast/snapshots.oci/blobs/sha256", strings.TrimPrefix(l.Content, "sha256:"))
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-10] ^= 1
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		c.do()
		err := w.host.Apply(t.Context(), w.env, change(&a, &c.tree))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
		w.mustApply(t, change(&c.tree, &a), 0)
		w.sees(t, a)
		if out := w.must(t, box1, "cat ~/file"); out != "saved\n" {
			t.Errorf("%s: %q", name, out)
		}
		w.oneLoop(t, 1)
		_ = os.Remove(filepath.Join(w.env.Dir, "fill"))
		if name == "damaged" {
			_, err := snapshot.Remove(w.env.Project, "s")
			if err != nil {
				t.Fatal(err)
			}
			l = w.save(t, "s", first)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.host.Apply(ctx, w.env, change(&a, &full)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.mustApply(t, change(&full, &a), 0)
	w.end(t, box1)
	w.end(t, box2)
}

// fillDisk leaves that many bytes of a disk.
func fillDisk(t *testing.T, path string, left int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size := int64(0)
	for {
		n, err := f.Write(make([]byte, 1<<16))
		if size += int64(n); err != nil {
			break
		}
	}
	if err := f.Truncate(max(size-left, 0)); err != nil {
		t.Fatal(err)
	}
}

// A stranger's layer is unpacked where nothing can come of it: links lead nowhere,
// and what is root's stays root's.
func TestLayerOfAStranger(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "home/.ssh"), 0o755), os.MkdirAll(filepath.Join(dir, "var-tmp"), 0o777), os.MkdirAll(filepath.Join(dir, "other"), 0o777),
		os.Symlink("/etc", filepath.Join(dir, "home/etc")), os.WriteFile(filepath.Join(dir, "home/su"), []byte("#!/bin/sh\nid -u\n"), 0o4755), os.Chmod(filepath.Join(dir, "home/su"), 0o4755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	l := w.store(t, "s", first, func(out io.Writer) (layer.Stats, error) { return layer.Pack(t.Context(), root, out, nil) })
	b := w.loaded(box1, l)
	w.create(t, b)
	out := w.must(t, box1, "stat -c '%n %U %a' ~ ~/su ~/.ssh; ~/su; echo x >~/etc/passwd || echo refused")
	if out != "/home/sandbox nobody 755\n/home/sandbox/su nobody 755\n/home/sandbox/.ssh nobody 755\n65534\n/bin/sh: 1: cannot create /home/sandbox/etc/passwd: Read-only file system\nrefused\n" &&
		out != "/home/sandbox nobody 755\n/home/sandbox/su nobody 755\n/home/sandbox/.ssh nobody 755\n65534\n/bin/sh: 1: cannot create /home/sandbox/etc/passwd: Permission denied\nrefused\n" {
		t.Errorf("%q", out)
	}
	w.end(t, box1)
}
