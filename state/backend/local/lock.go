package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/state/backend"
)

const lockName = "lock"

// Lock implements backend.Store by flock(2). The kernel drops the lock when the
// process dies, so none is ever stale. The file says who has it.
func (s Store) Lock(who backend.Holder) (unlock func(), err error) {
	for {
		if err := s.MakeDirs(); err != nil {
			return nil, err
		}
		f, err := s.tryLock(who)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a destroy has removed the folder meanwhile
		}
		if err != nil {
			return nil, err
		}
		// A destroy may have removed the file between open and flock: such a
		// lock excludes nobody.
		if sameFile(f, filepath.Join(s.Dir, lockName)) {
			return func() { release(f) }, nil
		}
		_ = f.Close()
	}
}

// tryLock takes the lock and signs it. Nobody breaks a lock meanwhile, as until it is
// signed it says who had it before.
func (s Store) tryLock(who backend.Holder) (*os.File, error) {
	d, err := s.quiet(unix.LOCK_SH)
	if err != nil {
		return nil, fmt.Errorf("lock environment: %w", err)
	}
	defer func() { _ = d.Close() }()
	f, err := os.OpenFile(filepath.Join(s.Dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock environment: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		h, _ := readHolder(f) // it may be writing its name right now
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &backend.LockedError{Holder: h}
		}
		return nil, fmt.Errorf("lock environment: %w", err)
	}
	sign(f, who)
	return f, nil
}

// quiet keeps apart who takes a lock and who breaks one, until what it returns is
// closed: a moment.
func (s Store) quiet(how int) (*os.File, error) {
	d, err := os.Open(s.Dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(d.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// sign writes who holds the lock. On a full disk nobody can read that, and the lock
// holds all the same.
func sign(f *os.File, who backend.Holder) {
	b, err := json.Marshal(who)
	if err == nil && f.Truncate(0) == nil {
		_, _ = f.WriteAt(append(b, '\n'), 0)
	}
}

// release unlocks before it closes. The lock belongs to the open file and not to
// the descriptor: a process that is being forked at this moment has a copy of that
// until its execve, and would hold the lock for us (flock(2)).
func release(f *os.File) {
	_ = f.Truncate(0)
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}

// Holder implements backend.Store.
func (s Store) Holder() (*backend.Holder, error) {
	f, err := os.OpenFile(filepath.Join(s.Dir, lockName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	held, err := isHeld(f)
	if err != nil || !held {
		return nil, err
	}
	h, err := readHolder(f)
	if err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	return &h, nil
}

// Break implements backend.Store. A process that inherited the descriptor of a dead
// holder keeps the old file locked, and that is nobody's lock any more. Of two that
// break the same lock the second must not remove the file of who has it by then.
func (s Store) Break(id string) error {
	d, err := s.quiet(unix.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return errNotLocked
	}
	if err != nil {
		return fmt.Errorf("free lock: %w", err)
	}
	defer func() { _ = d.Close() }()
	h, err := s.Holder()
	switch {
	case err != nil:
		return err
	case h == nil:
		return errNotLocked
	case h.ID != id:
		return fmt.Errorf("the lock's id is %s, not %s: it is held by %v", h.ID, id, *h)
	case h.Alive() || h.Foreign():
		return &backend.LiveError{Holder: *h}
	}
	if err := os.Remove(filepath.Join(s.Dir, lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free lock: %w", err)
	}
	return nil
}

var errNotLocked = errors.New("the environment is not locked")

// readHolder reads who signed the file; the zero Holder is one that has not yet.
func readHolder(f *os.File) (backend.Holder, error) {
	var h backend.Holder
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || len(b) == 0 {
		return h, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return backend.Holder{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return h, nil
}

// isHeld reads from proc_locks(5) whether somebody holds the file's lock. To try it
// could keep it from whoever wants it at this moment.
func isHeld(f *os.File) (bool, error) {
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	st := fi.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // what Stat returns on Linux
	b, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false, err
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(b)) {
		// 1: FLOCK  ADVISORY  WRITE 708 00:13:3010 0 EOF. The device is not compared:
		// some file systems show another one here than stat(2) does.
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			return true, nil
		}
	}
	return unseen(f), nil
}

// hostPIDs is the PID namespace of the host itself (PROC_PID_INIT_INO).
const hostPIDs = "pid:[4026531836]"

// unseen reports whether a lock is held that proc_locks(5) doesn't show: in a
// container it leaves out those whose holder is dead or elsewhere. Only a lock that
// somebody has signed is tried.
func unseen(f *os.File) bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	fi, serr := f.Stat()
	if err == nil && ns == hostPIDs || serr != nil || fi.Size() == 0 {
		return false
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return errors.Is(err, unix.EWOULDBLOCK)
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	return false
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
