//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/conformance"
)

// notes are what Check says beside problems.
func (w *world) notes(t testing.TB, tree filesystem.Tree) (notes, against []plan.Problem) {
	t.Helper()
	ps, err := w.host.Check(t.Context(), w.env, []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if p.Note {
			notes = append(notes, p)
		} else {
			against = append(against, p)
		}
	}
	return notes, against
}

// TestLayerInMemory: where there are no images the layer is in memory, which is said. It
// is bounded, outlives a sandbox, changes its bounds while it is used, and can be saved.
func TestLayerInMemory(t *testing.T) {
	inMemory(t)
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	a.LayerSize, a.LayerInodes = 16*mib, 1024
	if notes, against := w.notes(t, a); len(notes) != 1 || len(against) > 0 || !strings.Contains(notes[0].Reason, "in memory") || !strings.Contains(notes[0].Reason, "loop") {
		t.Errorf("%+v %+v", notes, against)
	}
	w.create(t, a)
	w.sees(t, a)
	if loops := w.loops(t); len(loops) > 0 {
		t.Errorf("%v", loops)
	}
	w.must(t, box1, "echo kept >~/h; test $(stat -c %U ~/h) = $(id -un)")
	if _, out := w.run(t, box1, "cat /dev/zero >~/fill"); !strings.Contains(out, "No space left") {
		t.Errorf("filled: %s", out)
	}
	var v state.Vitals
	if err := w.host.Measure(t.Context(), w.env, &v); err != nil || len(v.Rooms) != 2 || v.Rooms[0].Name != "size" || v.Rooms[0].Full() != "bytes" || v.Rooms[0].Most != 1024 || !v.Rooms[0].Memory || v.Rooms[1].Path != "/tmp" {
		t.Errorf("%+v %v", v.Rooms, err)
	}
	larger := a
	larger.LayerSize, larger.LayerInodes = 24*mib, 2048
	c := w.apply(t, &a, &larger) // in use
	w.sees(t, larger)
	w.must(t, box1, "head -c 4M /dev/zero >>~/fill")
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err == nil || !strings.Contains(err.Error(), "remove files") {
		t.Errorf("it was made smaller than what is in it: %v", err)
	}
	w.must(t, box1, "rm ~/fill")
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, a)
	l := w.save(t, "s", first)
	w.must(t, box1, "echo later >~/h")

	w.start(t, box2) // another sandbox has the same files
	b := a
	b.Sandbox = box2
	w.commit(t, w.apply(t, &a, &b))
	if out := w.must(t, box2, "cat ~/h"); out != "later\n" {
		t.Error(out)
	}
	w.end(t, box1)
	loaded := b
	loaded.Layer = l
	w.commit(t, w.apply(t, &b, &loaded))
	if out := w.must(t, box2, "cat ~/h"); out != "kept\n" {
		t.Error(out)
	}
	w.end(t, box2)
	if got := w.observed(t); got == nil || got.LayerSize != a.LayerSize || got.Layer.ID != first {
		t.Errorf("down, there is %+v", got)
	}
	w.commit(t, w.apply(t, w.observed(t), nil))
	w.nothingLeft(t)
}

// TestConformanceInMemory: all that holds of images, between an empty and a loaded layer.
func TestConformanceInMemory(t *testing.T) {
	inMemory(t)
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo saved >~/file")
	l := w.save(t, "s", first)
	w.commit(t, w.apply(t, &a, nil))
	b := w.loaded(box1, l)
	b.LayerSize, b.LayerInodes = 96*mib, 5000
	obj := func(tree filesystem.Tree) []plan.Object {
		return []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)}
	}
	conformance.Run(t, conformance.Case{
		Host: w.host, Env: w.env, A: obj(a), B: obj(b),
		Kernel: func(t *testing.T) string { return w.kernel(t, box1) },
		Tamper: map[string]func(*testing.T){
			"layer grown": func(t *testing.T) { w.inside(t, box1, "mount", "-o", "remount,size=1g", "/home/sandbox") },
			"layer away":  func(t *testing.T) { w.detach(t, box1, "/var/tmp") },
		},
	})
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
}

// TestInodes: no more files can be made than the tree says, in memory just so many, and in
// an image up to a block of its tables more or less; for a tmpfs while it is used.
func TestInodes(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1, filesystem.Mount{Name: "tmpfs./data", Target: "/data", Type: filesystem.Tmpfs, Size: 8 * mib, Inodes: 100, Exec: true})
	a.LayerInodes = 2000
	w.create(t, a)
	w.sees(t, a)
	fill := func(dir string) (n int, out string) {
		t.Helper()
		_, out = w.exec(t, box1, "/usr/bin/python3", "-c", `
import os, sys
os.chdir(os.path.expanduser(sys.argv[1])); n = 0
try:
    while True:
        open("f%d" % n, "x").close(); n += 1
except OSError as e:
    print(n, os.strerror(e.errno))
for i in range(n): os.unlink("f%d" % i)
`, dir)
		_, err := fmt.Sscan(out, &n)
		if err != nil || !strings.Contains(out, "No space left") {
			t.Errorf("%s: %s", dir, out)
		}
		return n, out
	}
	if n, _ := fill("/data"); n != 99 { // and its root
		t.Errorf("/data takes %d files", n)
	}
	n, _ := fill("~")
	const own = 11 + 2 // ext4's, and the two folders of the layer
	if n < 2000-64-own || n > 2000+64 {
		t.Errorf("the layer takes %d files", n)
	}
	t.Logf("the layer of 2000 inodes takes %d files", n)
	b := w.usual(box1, filesystem.Mount{Name: "tmpfs./data", Target: "/data", Type: filesystem.Tmpfs, Size: 8 * mib, Inodes: 150, Exec: true})
	b.LayerInodes = 2000
	w.must(t, box1, "echo live >/data/f")
	c := w.apply(t, &a, &b)
	w.sees(t, b)
	if n, _ := fill("/data"); n != 148 {
		t.Errorf("/data takes %d files, after it was widened", n)
	}
	w.must(t, box1, "grep -q live /data/f && cd /data && for i in $(seq 120); do : >g$i; done")
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err == nil || !strings.Contains(err.Error(), "inodes") {
		t.Errorf("fewer than there are: %v", err)
	}
	w.must(t, box1, "rm /data/g*")
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, a)
	for inodes, ok := range map[int64]bool{0: true, 2000: true, 3000: false, 1024: false} { // those of the layer stay
		to := a
		to.LayerInodes = inodes
		if _, against := w.notes(t, to); (len(against) == 0) != ok {
			t.Errorf("%d inodes: %+v", inodes, against)
		}
	}
	if fi, err := os.Stat(filepath.Join(w.env.Dir, "layer.img")); err != nil || fi.Size() != 64*mib {
		t.Error(fi, err)
	}
}
