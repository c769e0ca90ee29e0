package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another process changes the environment right now.
var ErrLocked = errors.New("the environment is locked by another blast command; try again when it has ended")

// Lock takes the environment's lock and returns what gives it back. It never
// waits. The kernel drops the lock when the process dies, so none is ever stale.
func (e Env) Lock() (unlock func(), err error) {
	if err := e.makeDir(); err != nil {
		return nil, err
	}
	path := filepath.Join(e.Dir, "lock")
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock environment: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrLocked
			}
			return nil, fmt.Errorf("lock environment: %w", err)
		}
		// A destroy may have removed the file between open and flock: such a
		// lock excludes nobody.
		if sameFile(f, path) {
			return func() { release(f) }, nil
		}
		_ = f.Close()
	}
}

// release unlocks before it closes. The lock belongs to the open file and not to
// the descriptor: a process that is being forked at this moment has a copy of that
// until its execve, and would hold the lock for us (flock(2)).
func release(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
