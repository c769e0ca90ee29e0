//go:build linux

package mounts

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// exchange puts a protection in the place of another, which goes only when the
// new one is there.
func (b *box) exchange(i int, r mountns.Row) error {
	w := b.tree[i]
	old, err := b.at(r)
	if err != nil {
		return err
	}
	if old == nil || !b.tree[w.base].onHost() {
		return errRebuild
	}
	defer func() { _ = old.Close() }()
	m, err := b.standIn(w, old)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	if err := b.in.AttachBeneath(m, old); err != nil {
		return errRebuild // before Linux 6.5
	}
	return b.in.Detach(old)
}

// standIn makes a detached mount for the place of the protection old. What lies
// below that can only be reached through the source.
func (b *box) standIn(w want, old *os.File) (*os.File, error) {
	if w.Type == filesystem.Hide {
		st, err := mountns.Stat(old)
		if err != nil {
			return nil, err
		}
		return b.hidden(st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	base := b.tree[w.base]
	o, err := b.options(w)
	if err != nil {
		return nil, err
	}
	src, err := openSource(b.env, base.Mount)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	f, err := mountns.OpenAt(src, strings.TrimPrefix(w.Target, base.Target+"/"), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, errRebuild
	}
	defer func() { _ = f.Close() }()
	owners, err := b.userNS()
	if err != nil {
		return nil, err
	}
	return mountns.Clone(f, mountns.Attr{Set: o &^ unix.MOUNT_ATTR_IDMAP, UserNS: owners})
}
