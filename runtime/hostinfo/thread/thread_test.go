package thread

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRunUsesAThreadThatEnds(t *testing.T) {
	want := errors.New("mine")
	for range 50 {
		var tid int
		if err := Run(func() error { tid = unix.Gettid(); return want }); !errors.Is(err, want) {
			t.Fatalf("Run = %v", err)
		}
		if tid == os.Getpid() {
			t.Fatal("f ran on the first thread, which does not end")
		}
	}
}

func TestWhatTheThreadDidEndsWithIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: enters a namespace")
	}
	ours, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	err = Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			return err
		}
		if its, err := os.Readlink("/proc/thread-self/ns/uts"); err != nil || its == ours {
			t.Errorf("control: the thread is in %s, %v", its, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := Run(func() error {
			if its, err := os.Readlink("/proc/thread-self/ns/uts"); err != nil || its != ours {
				t.Errorf("another thread is in %s, %v; want %s", its, err, ours)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
