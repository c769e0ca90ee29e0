//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// renames tells when a file or folder that something is mounted on was renamed
// on the host: the mount goes along, and the mount table says nothing of it.
// Only those files are watched, not the folders that they lie in, so nothing that
// is done inside makes events: there, they can't be renamed.
type renames struct{ f *os.File } // nil if the host has no more of them to give

// fd is what to poll(2), which passes over a negative one.
func (r *renames) fd() int32 {
	if r.f == nil {
		return -1
	}
	return int32(r.f.Fd())
}

// deaf reports whether nothing will be told.
func (r *renames) deaf() bool { return r.f == nil }

func (r *renames) close() {
	if r != nil && r.f != nil {
		_ = r.f.Close()
	}
}

// watchRenames watches what lies below each mount of a bind. The host gives a
// user a number of watches only (inotify(7), max_user_instances).
func (b *box) watchRenames() (*renames, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return &renames{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch renames: %w", err)
	}
	r := &renames{os.NewFile(uintptr(fd), "inotify")}
	for _, w := range b.tree {
		if w.base < 0 || !b.tree[w.base].onHost() {
			continue
		}
		if err := b.watchRename(r, w); errors.Is(err, unix.ENOSPC) {
			r.close()
			return &renames{}, nil
		} else if err != nil {
			r.close()
			return nil, fmt.Errorf("watch %s: %w", w.Target, err)
		}
	}
	return r, nil
}

func (b *box) watchRename(r *renames, w want) error {
	raw, err := b.raw(w.base, inPlace)
	if err != nil {
		return err
	}
	rel := strings.TrimPrefix(w.Target, b.tree[w.base].Target+"/")
	f, err := mountns.OpenAt(raw, rel, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since: the next look sees it
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = unix.InotifyAddWatch(int(r.f.Fd()), "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.IN_MOVE_SELF)
	return err
}
