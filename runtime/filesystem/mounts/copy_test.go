//go:build linux

package mounts_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/state/snapshot/layer"
)

// packed takes a copy of the layer and returns what is in it, by name.
func (w *world) packed(t testing.TB) (map[string]layer.Entry, map[string]string) {
	t.Helper()
	c, err := w.host.Copy(t.Context(), w.env)
	if err != nil {
		t.Fatal(err)
	}
	return w.contents(t, c)
}

func (w *world) contents(t testing.TB, c kinds.Copy) (map[string]layer.Entry, map[string]string) {
	t.Helper()
	var b bytes.Buffer
	_, err := c.Pack(t.Context(), &b, nil)
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	entries := map[string]layer.Entry{}
	source := func() layer.Source { return layer.Source{R: bytes.NewReader(b.Bytes()), Bytes: int64(b.Len())} }
	if _, err := layer.Check(t.Context(), source(), func(e layer.Entry) error { entries[e.Name] = e; return nil }); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, err := layer.Unpack(t.Context(), source(), root, layer.Owner{}); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for name, e := range entries {
		if e.Kind == layer.File && e.Size < 1<<20 {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	return entries, texts
}

// A copy holds what commands have written, the last byte of it, and not what a mount
// or a memory holds; whether a sandbox runs or not.
func TestCopy(t *testing.T) {
	w := newWorld(t, files)
	if entries, _ := w.packed(t); len(entries) != 0 {
		t.Errorf("of no layer: %v", entries)
	}
	w.start(t, box1)
	w.create(t, w.usual(box1))
	w.must(t, box1, "mkdir -m 750 ~/d; echo one >~/d/file; ln ~/d/file ~/d/hard; ln -s /etc/passwd ~/link; echo tmp >/var/tmp/t; echo no >/tmp/no; echo no >/workspace/no; mkfifo ~/pipe; truncate -s 1G ~/hole; setfattr -n user.a -v b ~/d/file || python3 -c 'import os; os.setxattr(\"/home/sandbox/d/file\", \"user.a\", b\"b\")'")
	was := w.kernel(t, box1)
	check := func() {
		t.Helper()
		if err := w.host.Ready(t.Context(), w.env); err != nil {
			t.Fatal(err)
		}
		entries, texts := w.packed(t)
		if texts["home/d/file"] != "one\n" || texts["var-tmp/t"] != "tmp\n" || entries["home/link"].Link != "/etc/passwd" ||
			entries["home/d/hard"].Link != "home/d/file" || entries["home/d"].Mode != 0o750 || entries["home/hole"].Size != 1<<30 ||
			entries["home/d/file"].Attrs["user.a"] != "b" || len(entries) != 9 {
			t.Errorf("%+v %v", entries, texts)
		}
	}
	check()
	if now := w.kernel(t, box1); now != was {
		t.Errorf("a copy leaves\n%s\nwas\n%s", now, was)
	}
	w.end(t, box1)
	eventually(t, "the loop device stays", func() bool { return len(w.loops(t)) == 0 })
	check()
	if err := errors.Join(w.host.Thaw(t.Context(), w.env), w.host.Thaw(t.Context(), w.env)); err != nil {
		t.Error(err)
	}
	eventually(t, "a loop device stays", func() bool { return len(w.loops(t)) == 0 })
}

// What files had that were removed is not copied.
func TestReadyGivesBack(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	w.create(t, w.usual(box1))
	w.must(t, box1, "head -c 30M /dev/urandom >~/large; sync; rm ~/large; echo one >~/file; sync")
	size := func() int64 {
		t.Helper()
		c, err := w.host.Copy(t.Context(), w.env)
		if err != nil {
			t.Fatal(err)
		}
		_, copied := c.Shared()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return copied
	}
	before := size()
	if err := w.host.Ready(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
	if after := size(); before < 30*mib || after > 4*mib {
		t.Errorf("%d bytes were copied before, %d after", before, after)
	}
	if _, texts := w.packed(t); texts["home/file"] != "one\n" {
		t.Errorf("%v", texts)
	}
}

// lockstep writes a number to one file and then to the other, without a pause.
const lockstep = `
import os
a, b = (os.open(os.path.expanduser("~/" + n), os.O_RDWR | os.O_CREAT) for n in "ab")
n = 0
while True:
    n += 1
    os.pwrite(a, b"%016d" % n, 0)
    os.pwrite(b, b"%016d" % n, 0)
`

// Frozen, the two files of a process that writes them in lockstep are at the same
// number, or the first is one ahead. Read while it runs they are not, or the test shows nothing.
func TestFrozenCopyIsConsistent(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	w.create(t, w.usual(box1))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := w.spawn(ctx, box1, "/usr/bin/python3", "-c", lockstep)
	defer func() { stop(); ended() }()
	eventually(t, "it doesn't write", func() bool { _, out := w.run(t, box1, "cat ~/b"); return len(out) == 16 })
	torn := 0
	for range 20 {
		out := w.must(t, box1, "cat ~/b; echo; cat ~/a")
		if b, a, _ := strings.Cut(out, "\n"); apart(t, a, b) > 1 {
			torn++
		}
	}
	if torn == 0 {
		t.Error("control: it is too slow to be seen torn")
	}
	number := func() int {
		n, _ := strconv.Atoi(w.must(t, box1, "cat ~/b"))
		return n
	}
	for range 10 {
		was := number()
		eventually(t, "it doesn't go on", func() bool { return number() > was })
		was = number()
		copied := w.frozenCopy(t)
		_, texts := w.contents(t, copied)
		a, b := texts["home/a"], texts["home/b"]
		if d := apart(t, a, b); d < 0 || d > 1 {
			t.Errorf("%s and %s", a, b)
		}
		if n, _ := strconv.Atoi(b); n < was {
			t.Errorf("%d was copied, and %d had been written before", n, was)
		}
	}
}

func (w *world) frozenCopy(t testing.TB) kinds.Copy {
	t.Helper()
	if err := (cgroup.Host{}).Freeze(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
	c, err := w.host.Copy(t.Context(), w.env)
	if err := errors.Join(err, cgroup.Host{}.Thaw(t.Context(), w.env)); err != nil {
		t.Fatal(err)
	}
	return c
}

func apart(t testing.TB, a, b string) int {
	t.Helper()
	n, err1 := strconv.Atoi(a)
	m, err2 := strconv.Atoi(b)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatalf("%q %q: %v", a, b, err)
	}
	return n - m
}

// disk mounts a file system of its own over the environment's state folder.
func (w *world) disk(t *testing.T, size string, mkfs ...string) {
	t.Helper()
	if len(mkfs) == 0 {
		if err := syscall.Mount("tmpfs", w.env.Dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
			t.Fatal(err)
		}
	} else {
		if _, err := exec.LookPath(mkfs[0]); err != nil {
			t.Skipf("%s is not installed", mkfs[0])
		}
		image := filepath.Join(t.TempDir(), "disk")
		for _, args := range [][]string{{"truncate", "-s", size, image}, append(mkfs, image), {"mount", "-o", "loop", image, w.env.Dir}, {"chmod", "0700", w.env.Dir}} {
			if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
	}
	t.Cleanup(func() { _ = syscall.Unmount(w.env.Dir, unix.MNT_DETACH) })
}

// Where the file system can, a copy shares the layer's blocks.
func TestCopyIsShared(t *testing.T) {
	for name, mkfs := range map[string][]string{"xfs": {"mkfs.xfs", "-q"}, "btrfs": {"mkfs.btrfs", "-q"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, files)
			w.disk(t, "400M", mkfs...)
			w.start(t, box1)
			w.create(t, w.usual(box1))
			w.must(t, box1, "echo one >~/file; head -c 30M /dev/urandom >~/large")
			c := w.frozenCopy(t)
			if shared, copied := c.Shared(); !shared || copied != 0 {
				t.Errorf("shared %v, %d bytes copied", shared, copied)
			}
			w.must(t, box1, "echo two >~/file; sync")
			if _, texts := w.contents(t, c); texts["home/file"] != "one\n" {
				t.Errorf("%q", texts["home/file"])
			}
			w.end(t, box1)
		})
	}
}

// A disk without room for a copy is an error, and nothing of it stays.
func TestCopyOnFullDisk(t *testing.T) {
	w := newWorld(t, files)
	w.disk(t, "48m")
	w.start(t, box1)
	w.create(t, w.usual(box1))
	w.must(t, box1, "echo one >~/file; head -c 30M /dev/urandom >~/large; sync")
	var before, after unix.Statfs_t
	if err := unix.Statfs(w.env.Dir, &before); err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Copy(t.Context(), w.env); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if err := unix.Statfs(w.env.Dir, &after); err != nil || after.Bfree+4 < before.Bfree {
		t.Errorf("%d blocks were free, %d are (%v)", before.Bfree, after.Bfree, err)
	}
	w.must(t, box1, "rm ~/large; sync; fstrim / 2>/dev/null; echo fine >~/file")
	w.end(t, box1)
}

// What a file system that is frozen for good does to a copy is no more than its
// time; and Thaw, as a new daemon calls it, ends what a dead one left.
func TestFrozenLayerIsThawed(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	w.create(t, w.usual(box1))
	dev := strings.TrimSpace(w.must(t, box1, "df --output=source ~ | tail -1"))
	m := t.TempDir()
	if err := syscall.Mount(dev, m, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount(m, unix.MNT_DETACH) }()
	f, err := os.Open(m)
	if err != nil {
		t.Fatal(err)
	}
	const fiFreeze = 0xc0045877
	if err := errors.Join(unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0), f.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	waiting := w.spawn(context.WithoutCancel(t.Context()), box1, "/bin/sh", "-c", "echo x >~/file")
	if _, err := w.host.Copy(ctx, w.env); err == nil {
		t.Error("a layer that somebody else froze is copied")
	}
	if err := w.host.Thaw(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
	if code, out := waiting(); code != 0 {
		t.Error(code, out)
	}
	_, texts := w.packed(t)
	if texts["home/file"] != "x\n" {
		t.Errorf("%v", texts)
	}
}
