package local

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What runs in a sandbox can fill the disk that the records are on, through its
// workspace. A journal needs room, also that of the destroy that would end it. So
// while an environment is there a reserve is, too, given up when there is no room.
const (
	ReserveName = "reserve"
	reserveSize = 1 << 20 // bytes; journal and state of hundreds of packages
)

// KeepReserve makes the reserve. Without one a full disk stops what it stops.
func (s Store) KeepReserve() {
	path := filepath.Join(s.Dir, ReserveName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return
	}
	if unix.Fallocate(int(f.Fd()), 0, 0, reserveSize) != nil { // full, or a file system that can't promise
		_ = os.Remove(path)
	}
	_ = f.Close()
}

// GiveReserve gives the reserve up and reports whether there was one.
func (s Store) GiveReserve() bool { return os.Remove(filepath.Join(s.Dir, ReserveName)) == nil }

// WithRoom does something that takes room on disk, and once more without the
// reserve if there was none. What the first attempt did in part f undoes itself.
func (s Store) WithRoom(f func() error) error {
	err := f()
	if (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) && s.GiveReserve() {
		return f()
	}
	return err
}
