package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Place is one folder, wherever it is moved to. Its number alone is used again when
// it is gone.
type Place struct {
	Dev  uint64 `json:"dev"`            // as in stat(2)
	Ino  uint64 `json:"ino"`            //
	Born int64  `json:"born,omitempty"` // ns after 1970, where the file system keeps it (statx(2))

	// Handle finds it again by name_to_handle_at(2), where the file system has that.
	Handle []byte `json:"handle,omitempty"`
	Type   int32  `json:"handle_type,omitempty"`
}

// placeOf says which folder is at a path. No link leads there.
func placeOf(dir string) (Place, error) {
	fd, err := openFolder(dir)
	if err != nil {
		return Place{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	return placeAt(fd)
}

func openFolder(dir string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &how)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return fd, nil
}

func placeAt(fd int) (Place, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return Place{}, fmt.Errorf("identify folder: %w", err)
	}
	p := Place{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		p.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return p, nil
}

// withHandle is the place with what finds it again, if there is such a thing.
func (p Place) withHandle(dir string) Place {
	fd, err := openFolder(dir)
	if err != nil {
		return p
	}
	defer func() { _ = unix.Close(fd) }()
	h, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if err == nil {
		p.Handle, p.Type = h.Bytes(), h.Type()
	}
	return p
}

func (p Place) same(o Place) bool {
	return p.Ino != 0 && p.Dev == o.Dev && p.Ino == o.Ino && p.Born == o.Born
}

// is reports whether the folder is at a path.
func (p Place) is(dir string) bool {
	now, err := placeOf(dir)
	return err == nil && p.same(now)
}

// What find can answer.
type fate int

const (
	unknown fate = iota // this file system can't tell, or the folder is where no path leads
	deleted
	alive
)

// find says where the folder is now, which was near a path once.
func (p Place) find(near string) (dir string, f fate) {
	if len(p.Handle) == 0 {
		return "", unknown
	}
	on, ok := p.fileSystem(near)
	if !ok {
		return "", unknown
	}
	defer func() { _ = unix.Close(on) }()
	fd, err := unix.OpenByHandleAt(on, unix.NewFileHandle(p.Type, p.Handle), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if errors.Is(err, unix.ESTALE) {
		return "", deleted
	}
	if err != nil {
		return "", unknown
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Nlink == 0 { // what is mounted elsewhere lives on without a name
		return "", deleted
	}
	dir, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !p.is(dir) {
		return "", unknown
	}
	return dir, alive
}

// fileSystem opens a folder on the file system of the place: the nearest one that is
// still on the way to where it was.
func (p Place) fileSystem(near string) (fd int, ok bool) {
	for d := filepath.Dir(near); ; d = filepath.Dir(d) {
		if now, err := placeOf(d); err == nil {
			if now.Dev != p.Dev {
				return -1, false
			}
			how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
			fd, err := unix.Openat2(unix.AT_FDCWD, d, &how) // O_PATH is not enough: open_by_handle_at(2)
			return fd, err == nil
		}
		if d == filepath.Dir(d) {
			return -1, false
		}
	}
}
