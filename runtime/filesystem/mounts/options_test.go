//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
)

// TestNoExec: nothing can be executed where a line says so, by exec(2), the loader or a
// mapping; live, both ways, under a command that runs, and drift of it is seen.
func TestNoExec(t *testing.T) {
	w := newWorld(t, map[string]string{"blast.hcl": "#\n", "hello.py": "print('hello')\n", "run": "#!/bin/sh\necho hello\n"})
	copied, err := os.ReadFile("/usr/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "true", string(copied))
	for _, name := range []string{"true", "run"} {
		if err := os.Chmod(w.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.start(t, box1)
	a := w.usual(box1, filesystem.Mount{Name: "tmpfs./data", Target: "/data", Type: filesystem.Tmpfs, Size: 8 * mib, Exec: true})
	w.create(t, a)
	w.must(t, box1, "/workspace/true && /workspace/run && cp /workspace/true /data && /data/true")
	b := w.usual(box1, filesystem.Mount{Name: "tmpfs./data", Target: "/data", Type: filesystem.Tmpfs, Size: 8 * mib})
	b.Mounts[3].Exec = false
	c := w.apply(t, &a, &b)
	w.sees(t, b)
	for what, script := range map[string]string{
		"exec": "/workspace/true", "script": "/workspace/run", "tmpfs": "/data/true", "below a pin": "cp /bin/true /workspace/.git/x; /workspace/.git/x",
		"loader":  "/lib64/ld-linux-x86-64.so.2 /workspace/true",
		"mapping": `python3 -c 'import mmap,os; mmap.mmap(os.open("/workspace/true", os.O_RDONLY), 4096, prot=mmap.PROT_READ|mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)'`,
		"library": `python3 -c 'import ctypes; ctypes.CDLL("/workspace/true")'`,
	} {
		if code, out := w.run(t, box1, script); code == 0 || !strings.Contains(out, "denied") && !strings.Contains(out, "not permitted") && !strings.Contains(out, "failed to map") {
			t.Errorf("%s: exit %d: %s", what, code, out)
		}
	}
	// What it doesn't stop, as the documentation says: an interpreter reads, and memory is no file there.
	w.must(t, box1, "python3 /workspace/hello.py && sh /workspace/run")
	w.must(t, box1, `python3 -c 'import os; fd = os.memfd_create("x"); os.write(fd, open("/workspace/true","rb").read()); os.execve(fd, ["x"], {})'`)
	w.inside(t, box1, "mount", "-o", "remount,bind,exec", "/workspace")
	if got := w.observed(t); len(got.Drift) == 0 || !strings.Contains(got.Drift[0], "/workspace") {
		t.Errorf("drift: %+v", got.Drift)
	}
	w.apply(t, w.observed(t), &b)
	w.sees(t, b)
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, a)
	w.must(t, box1, "/workspace/true && /data/true")
}

// TestSetuidAndDevicesAreInert on a mount of the host's files: whoever owns them.
func TestSetuidAndDevicesAreInert(t *testing.T) {
	w := newWorld(t, files)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	id, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	for name, uid := range map[string]int{"root": 0, "person": person, "other": 12345} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, id, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(p, uid, uid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, 0o755|os.ModeSetuid|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
	}
	for name, dev := range map[string]uint32{"null": unix.S_IFCHR, "disk": unix.S_IFBLK} {
		number := int(unix.Mkdev(1, 3))
		if dev == unix.S_IFBLK {
			number = int(unix.Mkdev(7, 0))
		}
		if err := unix.Mknod(filepath.Join(dir, name), dev|0o666, number); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, name), person, person); err != nil {
			t.Fatal(err)
		}
	}
	w.start(t, box1)
	a := w.usual(box1, filesystem.Mount{Name: "mount./data", Target: "/data", Type: filesystem.Bind, Source: dir, Access: "rw", Exec: true})
	w.create(t, a)
	self := w.must(t, box1, "id -u; id -g")
	for _, name := range []string{"root", "person", "other"} {
		if out := w.must(t, box1, fmt.Sprintf("/data/%s -u; /data/%s -g", name, name)); out != self {
			t.Errorf("%s: %q, and without it is %q", name, out, self)
		}
	}
	for _, script := range []string{"cat /data/null", "echo x >/data/null", "head -c 1 /data/disk"} {
		if code, out := w.run(t, box1, script); code == 0 || !strings.Contains(out, "denied") {
			t.Errorf("%s: exit %d: %s", script, code, out)
		}
	}
	for line := range strings.Lines(w.mountinfo(t, box1)) {
		if f := strings.Fields(line); within(f[4], "/workspace", "/data", "/tmp", "/home/sandbox", "/var/tmp") && (!strings.Contains(f[5], "nosuid") || !strings.Contains(f[5], "nodev")) {
			t.Errorf("%s", line)
		}
	}
}

func within(path string, dirs ...string) bool {
	for _, d := range dirs {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

// TestHostsMountsStayOutside: what is mounted on the host below a source, before or after,
// doesn't appear inside, even where the host's mounts are shared; nor does a mount of the
// sandbox's on the host.
func TestHostsMountsStayOutside(t *testing.T) {
	w := newWorld(t, files)
	dir := t.TempDir()
	if err := unix.Mount("x", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"before", "after", "before/under", "after/under"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret := func(name string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := unix.Mount("y", at, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "secret"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	secret("before")
	w.start(t, box1)
	a := w.usual(box1, filesystem.Mount{Name: "mount./data", Target: "/data", Type: filesystem.Bind, Source: dir, Access: "ro", Exec: true},
		filesystem.Mount{Name: "tmpfs./data/after/under", Target: "/data/after/under", Type: filesystem.Tmpfs, Size: mib, Exec: true})
	w.create(t, a)
	secret("after")
	if out := w.must(t, box1, "ls /data/before /data/after"); strings.Contains(out, "secret") || strings.Count(out, "under") != 2 {
		t.Errorf("inside there is %s", out)
	}
	w.must(t, box1, "touch /data/after/under/mine")
	if _, err := os.Stat(filepath.Join(dir, "after/secret")); err != nil {
		t.Errorf("the host: %v", err)
	}
	for line := range strings.Lines(w.mountinfo(t, box1)) {
		if strings.Contains(line, "shared:") || strings.Contains(line, "master:") {
			t.Errorf("not private: %s", line)
		}
	}
	own, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(own)) {
		if strings.Contains(line, dir+"/after/under") {
			t.Errorf("on the host: %s", line)
		}
	}
}
