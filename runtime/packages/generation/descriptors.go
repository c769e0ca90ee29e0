//go:build linux

package generation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openNoLinks opens a folder by an absolute path in which no part is a link.
func openNoLinks(path string) (*os.File, error) {
	return open(unix.AT_FDCWD, path, unix.RESOLVE_NO_SYMLINKS)
}

// openAt opens a folder in another one: no link, and nothing mounted there.
func openAt(dir *os.File, name string) (*os.File, error) {
	return open(int(dir.Fd()), name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
}

func open(dirfd int, path string, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(dirfd, path, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil //nolint:gosec // a descriptor
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN): // EAGAIN: a rename elsewhere raced the walk
			continue
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
}

// errMounted stops a removal before it reaches what is mounted there, which may
// be data.
var errMounted = errors.New("something is mounted there; unmount it")

// removeTree removes name from dir with all that is in it. It follows neither
// links nor mounts. It is no error if there is nothing.
func removeTree(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return ignoreMissing(named(name, err))
	}
	if err := emptyTree(dir, name); err != nil {
		return err
	}
	return ignoreMissing(named(name, unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)))
}

func emptyTree(dir *os.File, name string) error {
	d, err := openAt(dir, name)
	if errors.Is(err, unix.EXDEV) {
		return named(name, errMounted)
	}
	if err != nil {
		return ignoreMissing(named(name, err))
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return named(name, err)
	}
	for _, n := range names {
		if err := removeTree(d, n); err != nil {
			return fmt.Errorf("%s/%w", name, err)
		}
	}
	return nil
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func owner(fi fs.FileInfo) uint32 { return fi.Sys().(*syscall.Stat_t).Uid } //nolint:forcetypeassert // what Stat and Lstat return on Linux

// ours reports whether nobody but this process's user can change the file.
func ours(fi fs.FileInfo) bool {
	return owner(fi) == uint32(os.Geteuid()) && fi.Mode().Perm()&0o022 == 0 //nolint:gosec // a user id
}

func group(fi fs.FileInfo) uint32 { return fi.Sys().(*syscall.Stat_t).Gid } //nolint:forcetypeassert // as in owner
