package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Readers take no lock and see whole snapshots, whoever saves and removes meanwhile.
func TestReadersAndWriters(t *testing.T) {
	p := t.TempDir()
	saved(t, p, "stays", "stays", 1)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := Open(p)
				if err != nil {
					t.Error(err)
					return
				}
				one, err := s.Find("stays")
				if err == nil {
					_, err = s.Record(one)
				}
				if err != nil {
					t.Error(err)
				}
				_ = s.Close()
			}
		})
	}
	for n := range 3 {
		writers.Go(func() {
			name := fmt.Sprint("w", n)
			for i := range 15 {
				if _, err := save(t, p, name, fmt.Sprint(name, i), 1, true); err != nil {
					t.Error(err)
				}
				if i%3 == 2 {
					if _, err := Remove(p, name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if n := len(blobs(t, p)); n != 3 {
		t.Errorf("%d blobs are left", n)
	}
}

// A full disk leaves what was there, and nothing else.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small disk")
	}
	p := t.TempDir()
	do(t, syscall.Mount("tmpfs", p, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = syscall.Unmount(p, syscall.MNT_DETACH) })
	a := saved(t, p, "a", "one", 1)
	was := blobs(t, p)
	for _, left := range []int{0, 4, 8, 16, 24} { // KiB: each blob takes 4, and the index
		fill(t, filepath.Join(p, "fill"), left<<10)
		_, err := save(t, p, "b", strings.Repeat(fmt.Sprint(left), 4000), 2, false)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d KiB: %v", left, err)
		}
		if err == nil {
			_, err = Remove(p, "b")
			do(t, err)
		} else if left == 24 {
			t.Error("control: it never fits")
		}
		do(t, os.Remove(filepath.Join(p, "fill")))
		if now := blobs(t, p); !slices.Equal(now, was) {
			t.Errorf("%d KiB: %v, was %v", left, now, was)
		}
		if text, err := unpacked(t, opened(t, p), a); err != nil || text != "one" {
			t.Errorf("%d KiB: %q %v", left, text, err)
		}
	}
}

// fill leaves that many bytes of a disk.
func fill(t *testing.T, path string, left int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	do(t, err)
	defer func() { _ = f.Close() }()
	size := 0
	for {
		n, err := f.Write(make([]byte, 4096))
		if size += n; err != nil {
			break
		}
	}
	do(t, f.Truncate(int64(size-left)))
}
