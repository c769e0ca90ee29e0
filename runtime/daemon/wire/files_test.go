package wire

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A daemon that goes takes the folder with it, while another one comes.
func TestOpenWhileTheFolderGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blast", "blastd.log")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Microsecond): // no daemon goes more often
				_ = os.Remove(path)
				_ = os.Remove(filepath.Dir(path))
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	for range 3000 {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
}

// The lock on a file that was removed since it was opened is worth nothing.
func TestTakeWhatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blastd.lock")
	old, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	late, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close() }()
	if err := take(late, path); !errors.Is(err, ErrTaken) {
		t.Fatalf("control: %v", err)
	}
	if err := errors.Join(os.Remove(path), old.Close()); err != nil {
		t.Fatal(err)
	}
	if err := take(late, path); !errors.Is(err, errGone) {
		t.Errorf("removed: %v", err)
	}
	next, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Close() }()
	if err := take(late, path); !errors.Is(err, errGone) {
		t.Errorf("another one is there: %v", err)
	}
}

// Of those that take the lock while each of them removes the file when it goes, one has
// it at a time.
func TestTakeLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blast", "blastd.lock")
	var mu sync.Mutex
	var wg sync.WaitGroup
	had := 0
	for range 8 {
		wg.Go(func() {
			for range 300 {
				f, err := TakeLock(path)
				if errors.Is(err, ErrTaken) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if !mu.TryLock() {
					t.Error("two have the lock")
					_ = f.Close()
					return
				}
				had++
				mu.Unlock()
				_ = os.Remove(path)
				_ = f.Close()
			}
		})
	}
	wg.Wait()
	if had == 0 {
		t.Error("nobody had it: the test shows nothing")
	}
}
