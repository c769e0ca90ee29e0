package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/crash/strike"
)

// A fault is a disk that doesn't do what it is asked.
type fault struct {
	name   string
	strike func(w *world) (mend func() error, err error)
	says   []string // what blast says of it: why, and what to do
}

var (
	full     = []string{"no space left on device", "Make room"}
	readOnly = []string{"read-only file system", "remount"}
	noAccess = []string{"operation not permitted", "lsattr"}
)

// faults are what the kernel gives, without any injection.
var faults = []fault{
	{"full disk", func(w *world) (func() error, error) { return fill(w.project) }, full},
	{"read-only disk", func(w *world) (func() error, error) { return remount(w.lies()) }, readOnly},
	{"immutable folder", func(w *world) (func() error, error) { return immutable(w.lies()) }, noAccess},
	{"immutable state", func(w *world) (func() error, error) { return immutable(w.lies("state.json")) }, noAccess},
	{"immutable history", func(w *world) (func() error, error) { return immutable(w.lies("history")) }, noAccess},
}

// lies is where a record lies, or the next folder above that is there.
func (w *world) lies(names ...string) string {
	path := filepath.Join(append([]string{w.env.Dir}, names...)...)
	for {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
}

// A disk fails before a command begins, or in the middle. The command says so, and leaves
// all as it was or does all of it; when the disk is well again, so is everything.
func TestDisk(t *testing.T) {
	bin := needs(t)
	w := newWorldIn(t, bin, smallDisk(t))
	for i, s := range share(byDisks) {
		t.Run(s.name, func(t *testing.T) {
			b := w.both(t, s)
			for _, n := range some(len(faults), 2) {
				f := faults[(i+n)%len(faults)]
				begun := time.Now()
				total.add(f.name, s.name, w.fails(t, s, b, f), time.Since(begun))
			}
			for _, n := range some(len(moments), 2) {
				begun := time.Now()
				if v, ok := w.meanwhile(t, s, b, moments[(i+n)%len(moments)]); ok {
					total.add("immutable meanwhile", s.name, v, time.Since(begun))
				}
			}
		})
	}
}

// fails plays a story on a disk that fails.
func (w *world) fails(t *testing.T, s story, b sides, f fault) verdict {
	t.Helper()
	w.begin(t, s)
	args := w.ready(t, s.step)
	mend, err := f.strike(w)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	out, code := w.blast(t, args...)
	if err := mend(); err != nil {
		t.Fatalf("mend %s: %v", f.name, err)
	}
	w.owns(t, s, f.name, f.says, out, code)
	v := w.judge(t, s, b, f.name)
	s.tells(t, code, v, f.name+"\n"+out)
	return v
}

// owns checks that a command which a fault kept from its work says so: where, why, and
// what to do.
func (w *world) owns(t *testing.T, s story, what string, says []string, out string, code int) {
	t.Helper()
	switch code {
	case s.exit:
		return
	case exitError, exitRolledBack, exitIncomplete:
	default:
		t.Errorf("%s: %s: exit %d\n%s", s.name, what, code, out)
	}
	for _, words := range says {
		if !strings.Contains(out, words) {
			t.Errorf("%s: %s: exit %d without a word of %q:\n%s", s.name, what, code, words, out)
		}
	}
	if !slices.ContainsFunc([]string{w.project, w.env.Run, "/workspace"}, func(dir string) bool { return strings.Contains(out, dir+"/") }) {
		t.Errorf("%s: %s: exit %d, and it doesn't say where:\n%s", s.name, what, code, out)
	}
}

// A moment is when a file is made immutable: right before the nth call of a name that
// changes a record.
type moment struct {
	call   string // part of its name
	record string
	n      int
	file   string // what is made immutable; the folder of records if empty
}

var moments = []moment{
	{"write", "journal.jsonl", 2, "journal.jsonl"},
	{"fsync", "journal.jsonl", 1, "journal.jsonl"},
	{"rename", "history/", 1, "history"},
	{"rename", "/state.json", 1, "state.json"},
	{"rename", "/state.json", 1, ""},
	{"unlink", "journal.jsonl", 1, "journal.jsonl"},
	{"unlink", "journal.jsonl", 1, ""},
}

// meanwhile plays a story with a file that becomes immutable. It reports whether that
// moment came.
func (w *world) meanwhile(t *testing.T, s story, b sides, m moment) (verdict, bool) {
	t.Helper()
	mend, failed := func() error { return nil }, error(nil)
	came := false
	end, _ := w.answered(t, s, strike.Blow{
		Of: func(c strike.Call) bool {
			return strings.Contains(c.Name, m.call) && strings.Contains(c.Path, m.record) && w.isRecord(c)
		},
		At: m.n,
		Meanwhile: func(strike.Call) {
			came = true
			mend, failed = immutable(w.lies(m.file))
		},
	})
	if err := errors.Join(failed, mend()); err != nil {
		t.Fatal(err)
	}
	if !came {
		return neither, false
	}
	what := fmt.Sprintf("%q immutable at %s %d of %s", m.file, m.call, m.n, m.record)
	w.owns(t, s, what, noAccess, end.out, end.code)
	v := w.judge(t, s, b, what+"\n"+end.out)
	s.tells(t, end.code, v, what+"\n"+end.out)
	return v, true
}

// smallDisk is a folder with a file system of its own, in which flags and mounts are
// the test's to change.
func smallDisk(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on the file system of a folder.
func fill(dir string) (mend func() error, err error) {
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	for size := int64(1 << 28); size >= 1<<9; {
		fi, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if unix.Fallocate(int(f.Fd()), 0, fi.Size(), size) != nil {
			size /= 2
		}
	}
	return func() error { return os.Remove(path) }, f.Close()
}

// remount makes what lies below a folder read-only, for who goes there by its name. The
// whole file system can't be: a layer is open for writing.
func remount(dir string) (mend func() error, err error) {
	err = unix.Mount(dir, dir, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return func() error { return unix.Unmount(dir, unix.MNT_DETACH) }, err
}

const immutableFlag = 0x10 // FS_IMMUTABLE_FL of the kernel's include/uapi/linux/fs.h

// immutable keeps everybody from changing a file, as chattr(1) does.
func immutable(path string) (mend func() error, err error) {
	set := func(on bool) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return fmt.Errorf("flags of %s: %w", path, err)
		}
		flags &^= immutableFlag
		if on {
			flags |= immutableFlag
		}
		return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	return func() error { return set(false) }, set(true)
}
