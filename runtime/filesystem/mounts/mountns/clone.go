//go:build linux

package mountns

import (
	"cmp"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Attr is what to set on a detached mount (mount_setattr(2)).
type Attr struct {
	Set    uint64   // MOUNT_ATTR_…
	UserNS *os.File // idmap by this user namespace; nil is none
}

// Clone makes a detached copy of the mount that f lies on, with f as its root.
// What is mounted below f is not copied. The copy is private: what is mounted on
// it later doesn't appear on the host, and the other way round, even where the
// host's mount is shared (mount_namespaces(7)).
func Clone(f *os.File, a Attr) (*os.File, error) {
	fd, err := unix.OpenTree(int(f.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("clone mount: %w", err)
	}
	m := os.NewFile(uintptr(fd), f.Name())
	if err := Set(m, a); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// Set sets attributes of a detached mount, and makes it private.
func Set(m *os.File, a Attr) error {
	attr := unix.MountAttr{Attr_set: a.Set, Propagation: unix.MS_PRIVATE}
	if a.UserNS != nil {
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		attr.Userns_fd = uint64(a.UserNS.Fd())
	}
	if err := unix.MountSetattr(int(m.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("set mount attributes: %w", err)
	}
	return nil
}

// Put mounts a detached mount at a path of the host, no part of which may be a symbolic
// link.
func Put(m *os.File, path string) error {
	at, err := OpenHost(path)
	if err != nil {
		return err
	}
	defer func() { _ = at.Close() }()
	if err := unix.MoveMount(int(m.Fd()), "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount at %s: %w", path, err)
	}
	return nil
}

// Tmpfs describes a file system in memory (tmpfs(5)).
type Tmpfs struct {
	Source   string // as mountinfo shows it; "" is "blast"
	Size     int64  // bytes; the kernel rounds up to whole pages
	Inodes   int64  // files and folders
	UID, GID uint32
	Mode     uint32
}

// New makes a detached tmpfs. The ids are the host's.
func (t Tmpfs) New(attrs int) (*os.File, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make tmpfs: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	for _, kv := range [][2]string{
		{"source", cmp.Or(t.Source, "blast")},
		{"size", strconv.FormatInt(t.Size, 10)}, {"nr_inodes", strconv.FormatInt(t.Inodes, 10)},
		{"uid", strconv.FormatUint(uint64(t.UID), 10)}, {"gid", strconv.FormatUint(uint64(t.GID), 10)},
		{"mode", strconv.FormatUint(uint64(t.Mode), 8)},
	} {
		if err := unix.FsconfigSetString(fs, kv[0], kv[1]); err != nil {
			return nil, fmt.Errorf("make tmpfs: %s=%s: %w", kv[0], kv[1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("make tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("make tmpfs: %w", err)
	}
	return os.NewFile(uintptr(fd), "tmpfs"), nil
}

// Resize changes the bounds of the tmpfs whose root is f, while it is in use.
// The kernel refuses what is less than what is in it.
func (t Tmpfs) Resize(f *os.File) error {
	fs, err := unix.Fspick(int(f.Fd()), "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("resize tmpfs: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "size", strconv.FormatInt(t.Size, 10)); err != nil {
		return fmt.Errorf("resize tmpfs: %w", err)
	}
	if err := unix.FsconfigSetString(fs, "nr_inodes", strconv.FormatInt(t.Inodes, 10)); err != nil {
		return fmt.Errorf("resize tmpfs: %w", err)
	}
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return fmt.Errorf("resize tmpfs to %d bytes: %w", t.Size, err)
	}
	return nil
}
