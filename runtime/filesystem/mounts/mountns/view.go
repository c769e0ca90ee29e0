//go:build linux

package mountns

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A View looks at the files and mounts that a process sees. It changes nothing.
type View struct {
	pid  int
	root *os.File // the process's root folder
}

// Look opens the view of a running process.
func Look(pid int) (*View, error) {
	f, err := os.OpenFile(proc(pid, "root"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("look into sandbox: %w", err)
	}
	return &View{pid, f}, nil
}

// Close ends the view.
func (v *View) Close() error { return v.root.Close() }

// Root is the root folder of the sandbox.
func (v *View) Root() *os.File { return v.root }

// Table lists the mounts that the process sees, in the kernel's order.
func (v *View) Table() ([]Row, error) { return readTable(proc(v.pid, "mountinfo")) }

// Open opens an absolute path of the sandbox, as a place to work on and not to
// read. No component may be a symbolic link: ELOOP. A link at the very end is
// opened as itself.
func (v *View) Open(path string) (*os.File, error) {
	return OpenAt(v.root, path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT)
}

// OpenAt opens path below dir and never follows a link, whatever resolve says
// besides (openat2(2)).
func OpenAt(dir *os.File, path string, flags int, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), path, &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename elsewhere raced the walk
			continue
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
}

// OpenHost opens an absolute path of the host. No component may be a symbolic
// link: ELOOP. A link at the very end is opened as itself.
func OpenHost(path string) (*os.File, error) {
	root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	return OpenAt(root, path, unix.O_PATH|unix.O_NOFOLLOW, 0)
}

// Stat is stat(2) of a descriptor made with O_PATH.
func Stat(f *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return st, err
}

// ID is the number of the mount that f lies on, as Row.ID, and where the kernel
// has one (6.8), a number that is never used again; else 0.
func ID(f *os.File) (id, unique uint64, err error) {
	var st unix.Statx_t
	const empty = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(int(f.Fd()), "", empty, unix.STATX_MNT_ID, &st); err != nil {
		return 0, 0, fmt.Errorf("identify mount: %w", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, 0, fmt.Errorf("identify mount: %w", unix.ENOSYS)
	}
	id = st.Mnt_id
	if err := unix.Statx(int(f.Fd()), "", empty, unix.STATX_MNT_ID_UNIQUE, &st); err == nil && st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		unique = st.Mnt_id
	}
	return id, unique, nil
}

func proc(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
