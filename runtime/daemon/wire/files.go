package wire

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// tries bounds how often a file is opened whose folder goes away meanwhile: a daemon with
// nothing to do removes both, once.
const tries = 100

// Open opens one of the daemon's own files for writing, and makes it and its folder. A
// daemon that goes may remove them at the same time.
func Open(path string) (*os.File, error) {
	for n := 1; ; n++ {
		if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
		if !errors.Is(err, fs.ErrNotExist) || n == tries {
			return f, err
		}
	}
}

// ErrTaken means that another process has the lock.
var ErrTaken = errors.New("another process has the lock")

// TakeLock locks the file at path, which no other process has then, or returns ErrTaken.
func TakeLock(path string) (*os.File, error) {
	for n := 1; ; n++ {
		f, err := Open(path)
		if err != nil {
			return nil, err
		}
		if err = take(f, path); err == nil {
			return f, nil
		}
		_ = f.Close()
		if !errors.Is(err, errGone) || n == tries {
			return nil, err
		}
	}
}

// errGone means that who had the lock has removed its file. Another one may be there.
var errGone = errors.New("the lock's file is not there any more")

func take(f *os.File, path string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrTaken
	}
	if err != nil {
		return err
	}
	was, err := f.Stat()
	if err != nil {
		return err
	}
	if is, err := os.Lstat(path); err != nil || !os.SameFile(was, is) {
		return errGone
	}
	return nil
}
