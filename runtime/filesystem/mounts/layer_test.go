//go:build linux

package mounts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/process/command"
)

func (w *world) check(t testing.TB, tree filesystem.Tree) []string {
	t.Helper()
	ps, err := w.host.Check(t.Context(), w.env, []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range ps {
		if p.Note {
			continue
		}
		if p.Fix == "" || p.Addr != filesystem.TreeAddr {
			t.Errorf("%+v", p)
		}
		all = append(all, p.Item+": "+p.Reason)
	}
	return all
}

// The layer changes its size while nobody uses it, and only then; what is in it stays.
func TestLayerSize(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo kept >~/h")
	larger := w.usual(box1)
	larger.LayerSize = 128 * mib
	if ps := w.check(t, larger); len(ps) != 1 || !strings.HasPrefix(ps[0], "size: ") || !strings.Contains(ps[0], "in use") {
		t.Errorf("in use: %q", ps)
	}
	if err := w.host.Apply(t.Context(), w.env, change(&a, &larger)); err == nil {
		t.Error("it was resized in use")
	}
	if ps := w.check(t, a); len(ps) > 0 {
		t.Errorf("as it is: %q", ps)
	}
	for _, size := range []int64{128 * mib, 32 * mib, 64 * mib} {
		w.end(t, box1)
		eventually(t, "the loop device stays", func() bool { return len(w.loops(t)) == 0 })
		to := w.usual(box1)
		to.LayerSize = size
		if ps := w.check(t, to); len(ps) > 0 {
			t.Errorf("%d: %q", size, ps)
		}
		w.start(t, box1)
		w.commit(t, w.apply(t, w.observed(t), &to))
		w.sees(t, to)
		if out := w.must(t, box1, "cat ~/h"); out != "kept\n" {
			t.Error(out)
		}
		// What can be written is the size but for what the file system needs itself.
		_, out := w.run(t, box1, "cat /dev/zero >~/fill; stat -c %s ~/fill; rm ~/fill")
		var n int64
		for _, f := range strings.Fields(out) {
			for v, ok := int64(0), true; ok; ok = false {
				for _, c := range f {
					if c < '0' || c > '9' {
						v = 0
						break
					}
					v = v*10 + int64(c-'0')
				}
				n = max(n, v)
			}
		}
		if n > size || n < size*9/10 {
			t.Errorf("of %d bytes %d can be written: %s", size, n, out)
		}
	}
}

// A layer that was not unmounted, as after a power failure, is checked before it is used;
// one that somebody else put there is not used.
func TestLayerImage(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	w.must(t, box1, "echo kept >~/h; sync")
	image := filepath.Join(w.env.Dir, "layer.img")
	crashed, err := os.ReadFile(image) // as it lies on the disk while it is mounted
	if err != nil {
		t.Fatal(err)
	}
	w.end(t, box1)
	eventually(t, "the loop device stays", func() bool { return len(w.loops(t)) == 0 })
	if crashed[1024+0x3a]&1 != 0 {
		t.Fatal("the image is clean: the test shows nothing")
	}
	if err := os.WriteFile(image, crashed, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t, box1)
	w.commit(t, w.apply(t, w.observed(t), &a))
	if out := w.must(t, box1, "cat ~/h"); out != "kept\n" {
		t.Error(out)
	}
	w.end(t, box1)
	eventually(t, "the loop device stays", func() bool { return len(w.loops(t)) == 0 })
	w.start(t, box1)
	if err := os.Chmod(image, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := w.host.Apply(t.Context(), w.env, change(nil, &a)); err == nil {
		t.Error("a layer that others can read is used")
	}
	if err := os.Chmod(image, 0o600); err != nil {
		t.Fatal(err)
	}
	w.apply(t, nil, &a)
}

// MaxFileSize reaches commands by a note.
func TestMaxFileSize(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a := w.usual(box1)
	a.MaxFileSize = mib
	w.create(t, a)
	d, err := command.Load(w.env)
	if l := d.Rlimits["fsize"]; err != nil || l.Soft != mib || l.Hard != mib {
		t.Errorf("%+v %v", d, err)
	}
	if err := w.env.WriteNote(command.NoteName("filesystem"), command.Defaults{}); err != nil {
		t.Fatal(err)
	}
	if got := w.observed(t); len(got.Drift) != 1 {
		t.Errorf("%+v", got)
	}
	b := w.usual(box1)
	w.apply(t, &a, &b)
	w.sees(t, b)
	if d, err := command.Load(w.env); err != nil || len(d.Rlimits) != 0 {
		t.Errorf("%+v %v", d, err)
	}
}
