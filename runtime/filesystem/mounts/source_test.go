//go:build linux

package mounts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
)

// A source is checked again when it is opened: what was written in blast.hcl may
// have become something else.
func TestSource(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	dir := t.TempDir()
	for _, d := range []string{"real", "real/in"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	proc := filepath.Join(dir, "real/in")
	if err := unix.Mount("/proc", proc, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(proc, unix.MNT_DETACH) }()
	with := func(source string) filesystem.Tree {
		return w.usual(box1, filesystem.Mount{Name: "mount./opt/x", Target: "/opt/x", Type: filesystem.Bind, Source: source, Access: "ro"})
	}
	for source, why := range map[string]string{
		dir + "/link":               "symbolic link",
		dir + "/link/in":            "symbolic link",
		dir + "/fifo":               "no file or folder",
		dir + "/none":               "no such file",
		proc:                        "file system of the kernel's",
		"/proc":                     "the kernel's or Blast's own",
		"/":                         "no path below the root",
		"/run":                      "the kernel's or Blast's own",
		w.env.Run:                   "the kernel's or Blast's own",
		w.env.Dir:                   "Blast's own state",
		w.env.Project:               "holds the project",
		filepath.Dir(w.env.Project): "holds the project",
		dir + "/real/../real":       "shortest form",
	} {
		tree := with(source)
		if err := w.host.Apply(t.Context(), w.env, change(nil, &tree)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", source, err, why)
		}
		if ps := w.check(t, tree); len(ps) != 1 || !strings.Contains(ps[0], why) {
			t.Errorf("%s: a plan would say %q, want %q", source, ps, why)
		}
	}
	good := with(dir + "/real")
	if ps := w.check(t, good); len(ps) > 0 {
		t.Errorf("%q", ps)
	}
	w.create(t, good)
	// What the host has mounted below it is not shown.
	if out := w.must(t, box1, "ls /opt/x/in"); out != "" {
		t.Errorf("it shows %q", out)
	}
	// The host replaces it.
	if err := unix.Unmount(proc, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/real", dir+"/old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/real", 0o755); err != nil {
		t.Fatal(err)
	}
	got := w.observed(t)
	if len(got.Drift) != 1 || !strings.Contains(got.Drift[0], "/opt/x") {
		t.Fatalf("%+v", got)
	}
	w.apply(t, got, &good)
	w.sees(t, good)
}

// A file system that can't show the person's files as the sandbox's user's is told before anything is done.
func TestNoIDMap(t *testing.T) {
	w := newWorld(t, files)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "ramfs", "x", dir).CombinedOutput(); err != nil {
		t.Skipf("no ramfs: %s", out)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	tree := w.usual(box1, filesystem.Mount{Name: "mount./opt/x", Target: "/opt/x", Type: filesystem.Bind, Source: dir, Access: "rw"})
	ps := w.check(t, tree)
	if len(ps) != 1 || !strings.HasPrefix(ps[0], "mount./opt/x: ") || !strings.Contains(ps[0], "ramfs") {
		t.Fatalf("a plan would say %q", ps)
	}
	w.start(t, box1)
	if err := w.host.Apply(t.Context(), w.env, change(nil, &tree)); err == nil || !strings.Contains(err.Error(), "map owners") {
		t.Error(err)
	}
}
