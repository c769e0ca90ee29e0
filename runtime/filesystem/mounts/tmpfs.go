//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// memory describes the tmpfs of a want: /tmp is everybody's (tmpfs(5)), others
// belong to the sandbox's user.
func (b *box) memory(w want) mountns.Tmpfs {
	t := mountns.Tmpfs{Size: w.Size, Inodes: w.MaxInodes(), UID: b.user, GID: b.group, Mode: 0o755}
	if w.Target == filesystem.TempDir {
		t.Mode = 0o1777
	}
	return t
}

// sized reports whether a mounted tmpfs has the bounds that are wanted.
func (b *box) sized(w want, r mountns.Row) (bool, error) {
	f, err := b.at(r)
	if err != nil || f == nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, fmt.Errorf("read size of %s: %w", w.Target, err)
	}
	page := int64(os.Getpagesize())
	t := b.memory(w)
	return int64(st.Blocks) == (t.Size+page-1)/page && int64(st.Files) == t.Inodes, nil
}

// resize gives a tmpfs other bounds while it is in use.
func (b *box) resize(w want, f *os.File) error {
	err := b.memory(w).Resize(f)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%s holds more than %s or %d inodes: remove files in it, or give it more", w.Target, block.FormatSize(w.Size), w.MaxInodes())
	}
	return err
}
