package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"blast.example/blast/state"
	"golang.org/x/sys/unix"
)

// counting starts a process in the environment that counts in a file, in every
// hierarchy that can freeze it.
func counting(t *testing.T, env state.Env) (cmd *exec.Cmd, count func() int) {
	t.Helper()
	for _, h := range mounted(t) {
		if h.v2 || h.has("freezer") || h.has("pids") {
			if err := os.MkdirAll(filepath.Join(h.root, env.Cgroup), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "count")
	cmd = inside(t, env, "/bin/sh", "-c", `n=0; while :; do n=$((n+1)); echo $n >>"$0"; done`, file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = Host{}.Thaw(context.Background(), env)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	count = func() int {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(b), "\n")
	}
	goesOn(t, count)
	return cmd, count
}

func goesOn(t *testing.T, count func() int) {
	t.Helper()
	was := count()
	for deadline := time.Now().Add(10 * time.Second); count() == was; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't go on")
		}
	}
}

func standsStill(t *testing.T, count func() int) {
	t.Helper()
	was := count()
	time.Sleep(100 * time.Millisecond) // in which it counts to thousands
	if now := count(); now != was {
		t.Fatalf("it went on from %d to %d", was, now)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	env := newEnv(t)
	if err := (Host{}).Freeze(t.Context(), env); err != nil {
		t.Fatalf("nothing is there: %v", err)
	}
	_, count := counting(t, env)
	for range 2 {
		if err := (Host{}).Freeze(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		standsStill(t, count)
	}
	for range 2 {
		if err := (Host{}).Thaw(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		goesOn(t, count)
	}
}

// Each way that this host has works by itself.
func TestFreezeInEachHierarchy(t *testing.T) {
	env := newEnv(t)
	_, count := counting(t, env)
	ways := 0
	for _, h := range mounted(t) {
		dir := filepath.Join(h.root, env.Cgroup)
		if !exists(dir, h.freezeFile()) {
			continue
		}
		ways++
		if err := h.freeze(t.Context(), dir); err != nil {
			t.Fatalf("%s: %v", h.root, err)
		}
		standsStill(t, count)
		if err := (Host{}).Thaw(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		goesOn(t, count)
	}
	if ways == 0 {
		t.Error("no way to freeze on this host")
	}
}

// stuckDisk is a block device that makes who writes to it wait, in the kernel,
// until the test ends or calls free: it lies in a file system that is frozen.
func stuckDisk(t *testing.T) (device string, free func()) {
	t.Helper()
	dir := t.TempDir()
	image, inner := filepath.Join(t.TempDir(), "image"), filepath.Join(dir, "disk")
	run(t, "truncate", "-s", "16M", image)
	run(t, "mkfs.ext4", "-q", "-F", image)
	run(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { run(t, "umount", dir) })
	run(t, "truncate", "-s", "1M", inner)
	device = strings.TrimSpace(run(t, "losetup", "--find", "--show", inner))
	t.Cleanup(func() { run(t, "losetup", "-d", device) })
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() {
		if err := unix.IoctlSetInt(int(f.Fd()), fiThaw, 0); err != nil {
			t.Error(err)
		}
		_ = f.Close()
	})
	t.Cleanup(free)
	return device, free
}

// FIFREEZE and FITHAW of linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// What can't be stopped in time goes on, and so does all else.
func TestFreezeThatFailsThaws(t *testing.T) {
	env := newEnv(t)
	_, count := counting(t, env)
	disk, free := stuckDisk(t)
	stuck := inside(t, env, "/bin/sh", "-c", `dd if=/dev/zero of="$0" oflag=direct bs=4096 count=1 2>/dev/null; echo done`, disk)
	out, err := stuck.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	waits := func() bool {
		all, err := processes(mounted(t), env.Cgroup)
		return err == nil && slices.ContainsFunc(all, func(pid int) bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && strings.Contains(string(b), "(dd) D ")
		})
	}
	for deadline := time.Now().Add(10 * time.Second); !waits(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't wait")
		}
	}
	for _, h := range mounted(t) {
		dir := filepath.Join(h.root, env.Cgroup)
		if !exists(dir, h.freezeFile()) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := h.freeze(ctx, dir)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", h.root, err)
		}
		thaw(dir)
		goesOn(t, count)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := (Host{}).Freeze(ctx, env); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	goesOn(t, count)
	free()
	if b, err := io.ReadAll(out); err != nil || string(b) != "done\n" {
		t.Errorf("%q %v", b, err)
	}
	_ = stuck.Wait()
	if err := (Host{}).Freeze(t.Context(), env); err != nil {
		t.Errorf("control: %v", err)
	}
	standsStill(t, count)
}

// A process that is in another hierarchy only is not frozen with the others.
func TestFreezeSeesWhoWasMoved(t *testing.T) {
	env := newEnv(t)
	cmd, count := counting(t, env)
	moved := 0
	for _, h := range mounted(t) {
		if h.v2 || h.has("freezer") {
			moved++
			if err := writeFile(h.root, "cgroup.procs", strconv.Itoa(cmd.Process.Pid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if moved == len(mounted(t)) {
		t.Skip("this host has no other hierarchy")
	}
	if err := (Host{}).Freeze(t.Context(), env); err == nil {
		t.Error("it is said to be frozen")
	}
	goesOn(t, count)
}
