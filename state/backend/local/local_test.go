package local_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/state/backend"
	"blast.example/blast/state/backend/backendtest"
	"blast.example/blast/state/backend/local"
)

func TestLocal(t *testing.T) {
	dirs := map[string]string{}
	backendtest.Run(t, func(t *testing.T) backend.Store {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = filepath.Join(t.TempDir(), ".blast", "default")
		}
		return local.Store{Dir: dirs[t.Name()]}
	})
}

// A descriptor that some process inherited keeps the lock of a dead holder. That
// lock can be broken, and a live one's can't.
func TestBreakFreesAnInheritedLock(t *testing.T) {
	s := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
	dead := backend.Myself("dead", "blast apply", 0)
	dead.Start++ // another process had this pid
	if _, err := s.Lock(dead); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(backend.Myself("new", "test", 0)); err == nil {
		t.Fatal("control: the descriptor doesn't hold the lock")
	}
	if err := s.Break("other"); err == nil {
		t.Error("broken by another id")
	}
	if err := s.Break("dead"); err != nil {
		t.Fatal(err)
	}
	unlock, err := s.Lock(backend.Myself("new", "test", 0))
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// Many who break the same lock and want it: one has it then. Who breaks it late must
// not take away the file of who was faster.
func TestBreakAtOnce(t *testing.T) {
	for round := range 100 {
		s := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
		dead := backend.Myself("dead", "blast apply", 0)
		dead.Start++
		unlock, err := s.Lock(dead)
		if err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 { // nobody has it: only the name of the dead is left
			name, err := json.Marshal(dead)
			unlock()
			if err := errors.Join(err, os.WriteFile(filepath.Join(s.Dir, "lock"), name, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var got atomic.Int32
		var all sync.Map
		for range 8 {
			wg.Go(func() {
				_ = s.Break("dead")
				if unlock, err := s.Lock(backend.Myself("new", "test", 0)); err == nil {
					got.Add(1)
					all.Store(&unlock, nil) // as long as somebody has it, the file is open
				}
			})
		}
		wg.Wait()
		if n := got.Load(); n != 1 {
			t.Fatalf("round %d: %d have the lock", round, n)
		}
		runtime.KeepAlive(unlock)
	}
}

// A living holder's lock is nobody's to break, and the answer says whose it is.
func TestBreakOfTheLiving(t *testing.T) {
	s := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
	if err := s.Break("x"); err == nil {
		t.Error("where nothing is")
	}
	me := backend.Myself("mine", "blast apply", 4711)
	unlock, err := s.Lock(me)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var live *backend.LiveError
	if err := s.Break("mine"); !errors.As(err, &live) || live.Holder != me || !strings.Contains(err.Error(), "4711") {
		t.Errorf("%v", err)
	}
	elsewhere := me
	elsewhere.ID, elsewhere.PIDs = "elsewhere", "pid:[1]"
	other := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
	if _, err := other.Lock(elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := other.Break("elsewhere"); !errors.As(err, &live) || !strings.Contains(err.Error(), "another container") {
		t.Errorf("a holder in another container: %v", err)
	}
	if since := time.Since(me.Started()); since < 0 || since > time.Hour {
		t.Errorf("this process started %v ago", since)
	}
}

// What a person carried into a folder of theirs is no record.
func TestOpenLooksAtTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives a folder away")
	}
	s := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
	if err := s.Put("state.json", []byte("x"), ""); err != nil {
		t.Fatal(err)
	}
	f, err := local.Open(s.Dir, "state.json")
	if err != nil {
		t.Fatal("control:", err)
	}
	_ = f.Close()
	if err := os.Chown(s.Dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if f, err := local.Open(s.Dir, "state.json"); err == nil {
		t.Errorf("%s was opened", f.Name())
	}
}

// The folder lies in a project that belongs to a person: what a link there leads to
// is never read or written.
func TestLinksAreNotFollowed(t *testing.T) {
	for name, plant := range map[string]func(dir, outside string) error{
		"record": func(dir, outside string) error { return os.Symlink(outside, filepath.Join(dir, "state.json")) },
		"folder": func(dir, outside string) error {
			return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "history"))
		},
		"records": func(dir, outside string) error { return swap(dir, filepath.Dir(outside)) },
	} {
		s := local.Store{Dir: filepath.Join(t.TempDir(), ".blast", "default")}
		if err := s.Put("control.json", []byte("x"), ""); err != nil {
			t.Fatal(err)
		}
		outside := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(outside, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := plant(s.Dir, outside); err != nil {
			t.Fatal(err)
		}
		for _, record := range []string{"state.json", "history/state.json"} {
			if b, _, err := s.Get(record); err == nil && name != "records" {
				t.Errorf("%s: %s reads %q", name, record, b)
			}
			_ = s.Put(record, []byte("ours"), "")
		}
		if b, err := os.ReadFile(outside); err != nil || string(b) != "theirs" {
			t.Errorf("%s: %q was written through a link, %v", name, b, err)
		}
	}
}

func swap(dir, outside string) error {
	if err := os.Rename(dir, dir+".old"); err != nil {
		return err
	}
	return os.Symlink(outside, dir)
}

// A file that is being written and can't be removed, as the disk is closed to that, is
// left for the next one to clean up, also in the same process.
func TestReplaceThatCannotCleanUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "state.json")
	if err := local.Replace(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	appendOnly(t, dir, true) // a file can be made, and none renamed or removed
	if err := local.Replace(path, []byte("new")); !errors.Is(err, unix.EPERM) {
		t.Fatalf("control: %v", err)
	}
	appendOnly(t, dir, false)
	left := local.Orphans(dir)
	if len(left) != 1 {
		t.Fatalf("orphans: %q", left)
	}
	if err := os.Remove(left[0]); err != nil {
		t.Fatal(err)
	}
	if err := local.Replace(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if left := local.Orphans(dir); len(left) > 0 {
		t.Errorf("orphans: %q", left)
	}
}

// appendOnly is chattr(1), where the file system has such a flag.
func appendOnly(t *testing.T, path string, on bool) {
	t.Helper()
	const flag = 0x20 // FS_APPEND_FL of the kernel's include/uapi/linux/fs.h
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) {
		t.Skip("tmpfs has no such flags before Linux 6.6")
	}
	flags &^= flag
	if on {
		flags |= flag
	}
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A put on a full disk leaves the old record, and the reserve makes room once.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small disk")
	}
	project := t.TempDir()
	if err := unix.Mount("tmpfs", project, "tmpfs", 0, "size=3m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(project, unix.MNT_DETACH) })
	s := local.Store{Dir: filepath.Join(project, ".blast", "default")}
	if err := s.Put("state.json", []byte("old"), ""); err != nil {
		t.Fatal(err)
	}
	s.KeepReserve()
	_, v, err := s.Get("state.json")
	if err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(project, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := filler.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	_ = filler.Close()
	big := make([]byte, 2<<20)
	if err := s.Put("state.json", big, v); err == nil {
		t.Fatal("control: there is room")
	}
	if b, _, err := s.Get("state.json"); err != nil || string(b) != "old" {
		t.Fatalf("the old record is %q, %v", b, err)
	}
	if left := local.Orphans(s.Dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := s.Put("state.json", []byte("new"), v); err != nil {
		t.Fatal("the reserve made no room:", err)
	}
}
