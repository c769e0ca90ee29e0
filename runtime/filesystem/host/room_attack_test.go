//go:build linux

package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/room"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/runtime/resource/usage"
)

// smallDisk is a file system of its own on a disk of that size.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "at")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

func freeOf(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * st.Bsize
}

// lowest watches what is free of a disk, until stop is called: then it says how little
// that was at least.
func lowest(dir string) (stop func() int64) {
	var least atomic.Int64
	least.Store(freeOf(dir))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				least.Store(min(least.Load(), freeOf(dir)))
			}
		}
	}()
	return func() int64 { close(done); <-ended; return least.Load() }
}

func reserving(o plan.Object, reserve int64) plan.Object {
	var tree filesystem.Tree
	if err := o.Decode(&tree); err != nil {
		panic(err)
	}
	tree.Reserve = reserve
	return o.With(tree)
}

// TestDiskIsNotFilled: writers into a writable mount stand still before the host's disk is
// full, go on when there is room again, and are not let go on before, but by force.
func TestDiskIsNotFilled(t *testing.T) {
	disk := smallDisk(t, 1<<30)
	w := newWorld(t)
	const reserve = 256 * mib
	w.apply(t, reserving(w.tree(filesystem.Mount{Name: "mount./data", Target: "/data", Type: filesystem.Bind, Source: disk, Access: "rw", Exec: true}), reserve))
	if err := os.Chown(disk, person, person); err != nil {
		t.Fatal(err)
	}
	stop := lowest(disk)
	out := make(chan int, 1)
	begun := time.Now()
	go func() {
		code, _ := w.run(t, "/bin/sh", "-c", "for i in 1 2 3; do dd if=/dev/zero of=/data/fill$i bs=1M 2>/dev/null & done; wait; exit 7")
		out <- code
	}()
	w.awaitFrozen(t)
	took := time.Since(begun)
	time.Sleep(50 * time.Millisecond)
	least := stop()
	t.Logf("frozen after %v at %d MiB/s; %d MiB of the disk were free at least, and %d MiB should be", took, (freeOf(disk)>>20-1000)*-1000/max(took.Milliseconds(), 1), least>>20, reserve>>20)
	if least <= 0 {
		t.Error("the disk was full")
	}
	hold := w.env.Held()
	if hold == nil || hold.By != room.By || !strings.Contains(hold.Why, disk) {
		t.Fatalf("%+v", hold)
	}
	if err := w.host.Doubt(t.Context(), w.env, false); err == nil || !strings.Contains(err.Error(), disk) {
		t.Errorf("it is let go on: %v", err)
	}
	if err := w.host.Doubt(t.Context(), w.env, true); err != nil { // by force
		t.Fatal(err)
	}
	w.sync(t)
	before := freeOf(disk)
	w.letGo(t)
	w.awaitFrozen(t) // again
	if now := freeOf(disk); now <= 0 || now >= before {
		t.Errorf("%d bytes are free, and %d were", now, before)
	}
	for i := 1; i <= 3; i++ { // somebody cleans up
		if err := os.Truncate(filepath.Join(disk, fmt.Sprintf("fill%d", i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the force goes on", func() bool { f, err := room.LoadFloors(w.env); return err == nil && len(f) == 0 })
	if err := w.host.Doubt(t.Context(), w.env, false); err != nil {
		t.Error(err)
	}
	w.kill(t)
	w.letGo(t)
	<-out
}

func (w *world) letGo(t *testing.T) {
	t.Helper()
	if err := w.env.LetGo(); err != nil {
		t.Fatal(err)
	}
	if err := (cgroup.Host{}).Thaw(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
}

// kill ends the commands, which may stand still.
func (w *world) kill(t *testing.T) {
	t.Helper()
	if _, err := w.box.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestLayerDoesNotFillTheDisk that its image lies on, also by what is not written yet.
func TestLayerDoesNotFillTheDisk(t *testing.T) {
	const left = 400 * mib // of the disk, above what is reserved, and less than the layer has
	disk := smallDisk(t, 2<<30)
	reserve := int64(2 << 30 / 20)
	t.Setenv("TMPDIR", disk)
	other, err := os.Create(filepath.Join(disk, "other")) // of somebody else's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := unix.Fallocate(int(other.Fd()), 0, 0, freeOf(disk)-reserve-left); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.counted(t)
	w.layer(t, 1<<30)
	// Some 100 MiB/s: what is in memory before anybody looks is bounded by nothing else.
	go func() { w.run(t, "/bin/sh", "-c", "while head -c 1M /dev/zero; do sleep 0.01; done >~/fill") }()
	w.awaitFrozen(t)
	time.Sleep(time.Second) // what is in memory is written now
	unix.Sync()
	if h := w.env.Held(); h == nil || !strings.Contains(h.Why, "MiB free") {
		t.Errorf("%+v", h)
	}
	n := freeOf(disk)
	t.Logf("%d MiB are free, and %d should be", n>>20, reserve>>20)
	if n < 1<<20 {
		t.Error("the disk is full")
	}
	w.kill(t)
	w.letGo(t)
}

// TestInodesOfTheDiskAreNotUsedUp: files without content take no bytes.
func TestInodesOfTheDiskAreNotUsedUp(t *testing.T) {
	disk := smallDisk(t, 128*mib)
	t.Setenv("TMPDIR", disk)
	w := newWorld(t)
	go func() {
		w.run(t, "/usr/bin/python3", "-c", `
import os
for i in range(1 << 20): os.close(os.open("/workspace/%d" % i, os.O_CREAT | os.O_WRONLY))`)
	}()
	w.awaitFrozen(t)
	if h := w.env.Held(); h == nil || !strings.Contains(h.Why, "inodes free") {
		t.Errorf("%+v", h)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(disk, &st); err != nil || st.Ffree == 0 {
		t.Errorf("%d inodes are free: %v", st.Ffree, err)
	}
	t.Logf("%d inodes of %d are free", st.Ffree, st.Files)
	w.kill(t)
	w.letGo(t)
}

// awaitFrozen waits as long as a busy machine may need.
func (w *world) awaitFrozen(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !frozen(t, w); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("nothing stands still")
		}
	}
}

// layer makes the layer anew, of another size.
func (w *world) layer(t *testing.T, size int64) {
	t.Helper()
	was := w.tree()
	ctx := context.WithoutCancel(t.Context())
	gone := plan.Change{Addr: was.Addr, From: was.Attrs}
	if err := errors.Join(w.host.Apply(ctx, w.env, gone), w.host.Commit(ctx, w.env, gone)); err != nil {
		t.Fatal(err)
	}
	var tree filesystem.Tree
	if err := was.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	tree.LayerSize = size
	w.apply(t, was.With(tree))
}

// counted lets it be known where the kernel counts, as resource limits do.
func (w *world) counted(t *testing.T) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		if dir := root + w.env.Cgroup; exists(filepath.Join(dir, "memory.stat")) {
			if err := (usage.Groups{Memory: dir}).Keep(w.env); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the kernel doesn't count memory")
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// TestIdleIsNotHeld: a full disk is no reason to stop who does nothing, and who begins to
// do something then stands still.
func TestIdleIsNotHeld(t *testing.T) {
	w := newWorld(t)
	w.apply(t, reserving(w.tree(), 1<<60))
	time.Sleep(300 * time.Millisecond)
	if h := w.env.Held(); h != nil {
		t.Fatalf("%+v", h)
	}
	go func() { w.run(t, "/bin/sleep", "1000") }()
	w.awaitFrozen(t)
	w.kill(t)
	w.letGo(t)
	w.apply(t, reserving(w.tree(), filesystem.NoReserve))
	eventually(t, "no command runs", func() bool { code, _ := w.run(t, "/bin/true"); return code == 0 })
	time.Sleep(300 * time.Millisecond)
	if h := w.env.Held(); h != nil {
		t.Errorf("%+v", h)
	}
}

// TestOneCallDoesNotFillTheDisk: neither one that takes room without writing, nor a write
// that can't be stopped before it is done, of several threads.
func TestOneCallDoesNotFillTheDisk(t *testing.T) {
	for name, code := range map[string]string{
		"posix_fallocate": `os.posix_fallocate(new(0), 0, free)`,
		"fallocate":       `import ctypes; ctypes.CDLL(None).fallocate(new(0), 1, ctypes.c_long(0), ctypes.c_long(free)); print(ctypes.get_errno())`,
		"write": `
import mmap, threading
zeros = mmap.mmap(-1, 1 << 30, prot=mmap.PROT_READ)
ts = [threading.Thread(target=lambda i=i: os.write(new(i), zeros)) for i in range(4)]
for t in ts: t.start()
for t in ts: t.join()`,
		"copy": `
fd = new(0); os.ftruncate(fd, 1 << 30)
import threading
ts = [threading.Thread(target=lambda i=i: os.sendfile(new(i), fd, 0, 1 << 30)) for i in (1, 2, 3)]
for t in ts: t.start()
for t in ts: t.join()`,
	} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, 1<<30)
			w := newWorld(t)
			w.apply(t, reserving(w.tree(filesystem.Mount{Name: "mount./data", Target: "/data", Type: filesystem.Bind, Source: disk, Access: "rw", Exec: true}), 256*mib))
			if err := os.Chown(disk, person, person); err != nil {
				t.Fatal(err)
			}
			stop := lowest(disk)
			out := make(chan string, 1)
			go func() {
				_, text := w.run(t, "/usr/bin/python3", "-c", `
import os, time
def new(i): return os.open("/data/fill%d" % i, os.O_CREAT | os.O_RDWR)
free = int(os.statvfs("/data").f_bavail * os.statvfs("/data").f_bsize * .98)
`+code+`
print("done", flush=True)
i = 0
while True: # all that it takes, bit by bit, if it didn't come to that
    os.write(new(9), bytes(1 << 20)); i += 1; os.lseek(new(9), 0, 2)
    with open("/data/more", "ab") as f: f.write(bytes(1 << 20))`)
				out <- text
			}()
			w.awaitFrozen(t)
			least := stop()
			t.Logf("%d MiB were free at least, and 256 should be: %s", least>>20, w.env.Held().Why)
			if least <= 0 {
				t.Error("the disk was full")
			}
			w.kill(t)
			var text string
			eventually(t, "the commands do not end", func() bool {
				w.letGo(t) // who is to die dies when it goes on, unless it is stopped again before: it still takes room
				select {
				case text = <-out:
					return true
				default:
					return false
				}
			})
			if strings.Contains(text, "Error") {
				t.Error(text)
			}
		})
	}
}
