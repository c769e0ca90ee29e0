package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A workplace is a folder in tmp that is locked for as long as its process
// lives. One that nobody holds is of a process that died.
type workplace struct {
	dir  string
	lock *os.File
}

func (c *Cache) newWorkplace() (*workplace, error) {
	tmp := filepath.Join(c.dir, tmpDir)
	for _, dir := range []string{tmp, filepath.Join(c.dir, wheelsDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make cache: %w", err)
		}
	}
	// Between mkdir and lock a folder looks abandoned: only one at a time.
	all, err := lockFolder(tmp, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = all.Close() }()
	sweep(tmp)
	dir, err := os.MkdirTemp(tmp, "")
	if err != nil {
		return nil, fmt.Errorf("make cache entry: %w", err)
	}
	lock, err := lockFolder(dir, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return &workplace{dir, lock}, nil
}

func (w *workplace) close() {
	_ = os.RemoveAll(w.dir) // else the next one sweeps it
	_ = w.lock.Close()
}

// sweep removes what dead processes left.
func sweep(tmp string) {
	es, err := os.ReadDir(tmp)
	if err != nil {
		return
	}
	for _, e := range es {
		dir := filepath.Join(tmp, e.Name())
		lock, err := lockFolder(dir, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(dir)
		_ = lock.Close()
	}
}

func lockFolder(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how) //nolint:gosec // a descriptor fits
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock cache: %s: %w", dir, err)
	}
	return f, nil
}

// install moves a finished entry to its place. If there is one already, the
// whole one wins; a damaged one changes places with ours.
func install(entry, place string) error {
	err := unix.Renameat2(unix.AT_FDCWD, entry, unix.AT_FDCWD, place, unix.RENAME_NOREPLACE)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if there, err := loadEntry(place); err == nil && there.check() == nil {
		return nil
	}
	return unix.Renameat2(unix.AT_FDCWD, entry, unix.AT_FDCWD, place, unix.RENAME_EXCHANGE)
}
