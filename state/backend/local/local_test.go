package local_test

import (
	"os"
	"path/filepath"
	"testing"

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
