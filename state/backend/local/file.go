package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxFile bounds what is read, in bytes: a state with thousands of packages is some
// MiB.
const MaxFile = 64 << 20

// tempSuffix ends the names of files that are being written.
const tempSuffix = ".tmp"

// Replace puts b at path so that a reader, a crash or a full disk sees either the
// old content or the new: temp file, fsync, rename, fsync of the folder. Only this
// user may read it.
func Replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+tempSuffix) // CreateTemp is 0600
	if err != nil {
		return err
	}
	stuck.Delete(f.Name()) // one of that name is gone, then
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		discard(f.Name())
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// stuck are the temporary files that this process could not remove, by path.
var stuck sync.Map

// discard removes a temporary file of this process. If a disk is closed to writing, it
// is an orphan from now on.
func discard(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		stuck.Store(path, nil)
	}
}

// SyncDir makes the names in a folder survive a power failure.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// born is about when this process started.
var born = time.Now()

// Orphans are the temporary files that a process which died left in a folder while
// it replaced a file. Those of this process are younger than itself, and orphans only
// if they could not be removed.
func Orphans(dir string) []string {
	var out []string
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil // not there, or not ours to read: nothing to clean
	}
	for _, d := range es {
		if !strings.HasPrefix(d.Name(), ".") || !strings.HasSuffix(d.Name(), tempSuffix) {
			continue
		}
		path := filepath.Join(dir, d.Name())
		_, left := stuck.Load(path)
		if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() && (left || fi.ModTime().Before(born)) {
			out = append(out, path)
		}
	}
	return out
}

// Read reads a record. No link leads to it, and it waits for no pipe: the folder
// around belongs to a person.
func Read(path string) ([]byte, error) {
	f, err := open(unix.AT_FDCWD, path, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, fi.Size())
	n, err := f.ReadAt(b, 0)
	if n < len(b) {
		return nil, fmt.Errorf("%s: read %d of %d bytes: %w", path, n, len(b), err)
	}
	return b, nil
}

// Open opens a record in a folder that nobody else could have put there: a file of
// this user's is easily had, and carried into a folder of one's own.
func Open(dir, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	d := os.NewFile(uintptr(fd), dir)
	defer func() { _ = d.Close() }()
	f, err := open(fd, name, filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	fi, err := d.Stat()
	if err == nil {
		err = ours(dir, fi)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// open opens a regular file of this user's, which messages call path.
func open(at int, name, path string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(at, name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > MaxFile) {
		err = fmt.Errorf("%s is not a regular file of at most %d MiB", path, MaxFile>>20)
	}
	if err == nil {
		err = ours(path, fi)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// ours refuses a record that somebody else could have written: what it says is
// carried out with this user's rights.
func ours(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may have been written by somebody else than uid %d; if it is right, make it theirs alone: chown %d, chmod go-w", path, os.Geteuid(), os.Geteuid())
	}
	return nil
}

// MakeDir makes a folder of records in a folder that may belong to a person, who may
// be tricked into replacing it by a link: root must not write through that.
func MakeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make state folder: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("make state folder: %s is not a folder", dir)
	}
	if err := ours(dir, fi); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return nil
}

// Rename renames a folder of records in the folder that holds them all. unix.EEXIST is
// that the new name is taken.
func Rename(parent, from, to string) error {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, parent, &how)
	if err != nil {
		return &os.PathError{Op: "open", Path: parent, Err: err}
	}
	d := os.NewFile(uintptr(fd), parent)
	defer func() { _ = d.Close() }()
	fi, err := d.Stat()
	if err == nil {
		err = ours(parent, fi)
	}
	if err == nil {
		err = unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return err
	}
	return d.Sync()
}
