//go:build linux

package room

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// A reserve is what stays free.
type reserve struct{ bytes, inodes int64 }

// Of a disk's inodes this part stays free, as a divisor, and at most so many.
const (
	reservedInodes = 20
	mostInodes     = 10_000
)

// A disk is a file system of the host that commands can fill.
type disk struct {
	path  string // one that leads to it
	root  *os.File
	floor reserve
	whole reserve // what the floor is, if nothing goes on by force
}

// space is what there is of a disk.
type space struct {
	size, free int64 // bytes; free is for who is not root
	all        int64 // inodes; 0 is not known
	inodes     int64 // free ones
}

// disksOf are those of a tree: where commands may write through a mount, and where the
// layer and Blast's own state lie. The caller closes them. Each is a mount of its own that
// nobody sees: it follows no path again, and is in nobody's way who unmounts the host's.
func disksOf(env state.Env, t filesystem.Tree) ([]*disk, error) {
	paths := []string{env.Dir, env.Project} // the first may not be there yet, and then lies in the second
	if _, err := os.Lstat(env.Dir); err == nil {
		paths = paths[:1]
	}
	for _, m := range t.In(env.Project) {
		if m.Type == filesystem.Bind && m.Access == "rw" {
			paths = append(paths, m.Source)
		}
	}
	floors, err := LoadFloors(env)
	if err != nil {
		return nil, err
	}
	var out []*disk
	seen := map[uint64]bool{}
	for _, p := range paths {
		d, dev, err := openDisk(p)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // somebody moved it since: who mounts it tells
		}
		if err != nil {
			closeAll(out)
			return nil, err
		}
		if seen[dev] {
			_ = d.root.Close()
			continue
		}
		seen[dev] = true
		out = append(out, d)
		is, err := d.look()
		if err != nil {
			closeAll(out)
			return nil, err
		}
		d.floor, d.whole = floorOf(t, is, floors[p]), floorOf(t, is, nil)
	}
	return out, nil
}

func openDisk(path string) (*disk, uint64, error) {
	f, err := mountns.OpenHost(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	st, err := mountns.Stat(f)
	if err != nil {
		return nil, 0, err
	}
	m, err := mountns.Clone(f, mountns.Attr{Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC})
	if err != nil {
		return nil, 0, fmt.Errorf("watch %s: %w", path, err)
	}
	return &disk{path: path, root: m}, st.Dev, nil
}

// floorOf is the reserve of a tree on a disk, or less if somebody let it go on by force.
func floorOf(t filesystem.Tree, is space, forced *Floor) reserve {
	r := reserve{t.Free(is.size), min(mostInodes, is.all/reservedInodes)}
	if t.Reserve == filesystem.NoReserve {
		r = reserve{}
	}
	if forced != nil {
		r.bytes, r.inodes = min(r.bytes, forced.Bytes), min(r.inodes, forced.Inodes)
	}
	return r
}

func closeAll(disks []*disk) {
	for _, d := range disks {
		_ = d.root.Close()
	}
}

func (d *disk) look() (space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(int(d.root.Fd()), &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return space{}, fmt.Errorf("look at the disk of %s: %w", d.path, err)
		}
		return space{int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, int64(st.Files), int64(st.Ffree)}, nil
	}
}

// lack says what there is too little of; "" is nothing.
func (s space) lack(r reserve) string {
	switch {
	case s.free < r.bytes:
		return fmt.Sprintf("%s free, and %s is to stay so", about(max(s.free, 0)), about(r.bytes))
	case s.all > 0 && s.inodes < r.inodes:
		return fmt.Sprintf("%d inodes free, and %d are to stay so", s.inodes, r.inodes)
	}
	return ""
}

// about is a size in whole MiB, or KiB where it has none.
func about(n int64) string {
	if n >= 1<<20 {
		return block.FormatSize(n >> 20 << 20)
	}
	return block.FormatSize(n >> 10 << 10)
}
