//go:build linux

package layer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An Owner is whom all files of a layer belong to.
type Owner struct{ UID, GID int }

// Unpack writes the files of an archive below root, an empty folder that nobody
// else can reach. The archive may be a stranger's. After an error a part is there.
func Unpack(ctx context.Context, s Source, root *os.File, owner Owner) (Stats, error) {
	u := &unpacker{root: root, owner: owner, buf: make([]byte, bufferSize)}
	defer u.abandon()
	st, err := read(ctx, s, u.entry)
	if err == nil {
		err = u.leave(0)
	}
	if err != nil {
		return st, fmt.Errorf("unpack layer: %w", err)
	}
	return st, nil
}

// unpacker is one run of Unpack.
type unpacker struct {
	root  *os.File
	owner Owner
	open  []opened // the folders that the next entry may lie in
	buf   []byte
}

// opened is a folder whose time and mode are set when all is in it.
type opened struct {
	f *os.File
	e Entry
}

func (u *unpacker) abandon() {
	for _, o := range u.open {
		_ = o.f.Close()
	}
}

// entry makes one. Package order has checked that its folder came before it: so
// no name has more than one part, and none is a link.
func (u *unpacker) entry(e Entry, c *content) error {
	depth := slices.IndexFunc(u.open, func(o opened) bool { return !strings.HasPrefix(e.Name, o.e.Name+"/") })
	if depth < 0 {
		depth = len(u.open)
	}
	if err := u.leave(depth); err != nil {
		return err
	}
	dir := u.root
	if depth > 0 {
		dir = u.open[depth-1].f
	}
	if err := u.make(int(dir.Fd()), path.Base(e.Name), e, c); err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return nil
}

func (u *unpacker) make(dir int, name string, e Entry, c *content) error {
	switch e.Kind {
	case Folder:
		return u.folder(dir, name, e)
	case File:
		return u.file(dir, name, e, c)
	case Hardlink:
		return u.hardlink(dir, name, e)
	case Symlink:
		if err := unix.Symlinkat(e.Link, dir, name); err != nil {
			return err
		}
	case FIFO:
		if err := unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0); err != nil {
			return err
		}
	case Whiteout:
		if err := unix.Mknodat(dir, name, unix.S_IFCHR, 0); err != nil {
			return err
		}
	}
	if err := unix.Fchownat(dir, name, u.owner.UID, u.owner.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if e.Kind != Symlink {
		if err := unix.Fchmodat(dir, name, uint32(e.Mode), 0); err != nil {
			return err
		}
	}
	return setTime(dir, name, e)
}

func (u *unpacker) folder(dir int, name string, e Entry) error {
	if err := unix.Mkdirat(dir, name, 0o700); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	u.open = append(u.open, opened{os.NewFile(uintptr(fd), e.Name), e})
	return nil
}

// leave finishes the folders from that depth on, the innermost first.
func (u *unpacker) leave(depth int) error {
	for len(u.open) > depth {
		o := u.open[len(u.open)-1]
		u.open = u.open[:len(u.open)-1]
		err := u.finish(o.f, o.e)
		_ = o.f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", o.e.Name, err)
		}
	}
	return nil
}

// finish gives a file or folder its attributes, owner, mode and time.
func (u *unpacker) finish(f *os.File, e Entry) error {
	for name, value := range e.Attrs {
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	return errors.Join(f.Chown(u.owner.UID, u.owner.GID), f.Chmod(e.Mode), setTime(int(f.Fd()), "", e))
}

func (u *unpacker) file(dir int, name string, e Entry, c *content) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.Name)
	err = c.writeTo(f, u.buf)
	if err == nil {
		err = f.Truncate(e.Size) // what follows is a hole
	}
	if err == nil {
		err = u.finish(f, e)
	}
	return errors.Join(err, f.Close())
}

// hardlink gives a file another name. The way to the first one passes no link and
// stays below root.
func (u *unpacker) hardlink(dir int, name string, e Entry) error {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	fd, err := unix.Openat2(int(u.root.Fd()), e.Link, how)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(e.Name, "is a hard link to %q, which doesn't come before it", e.Link)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return refuse(e.Name, "is a hard link to the folder %q", e.Link)
	}
	return unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH)
}

// setTime sets the time of a name in a folder, or of the open file itself.
func setTime(dir int, name string, e Entry) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	t := unix.Timespec{Sec: e.Time.Unix(), Nsec: int64(e.Time.Nanosecond())}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{t, t}, flags)
}
