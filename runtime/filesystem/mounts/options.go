//go:build linux

package mounts

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// What every mount of a tree has (mount_setattr(2)).
const always = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// sealed is what a mask has that shows nothing.
const sealed = always | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC

// options are the MOUNT_ATTR_… that a mount must have.
func (b *box) options(w want) (uint64, error) {
	o := uint64(always)
	if !w.Exec {
		o |= unix.MOUNT_ATTR_NOEXEC
	}
	switch w.Type {
	case filesystem.Hide:
		return sealed, nil
	case filesystem.Layer:
		return o | unix.MOUNT_ATTR_IDMAP, nil
	case filesystem.Bind:
		src, err := openSource(b.env, w.Mount)
		if err != nil {
			return 0, err
		}
		defer func() { _ = src.Close() }()
		inherited, err := inherited(src)
		switch w.Access {
		case "rw":
		case filesystem.Overlay: // the layers below map the owners
			return o | inherited&^unix.MOUNT_ATTR_RDONLY, err
		default:
			o |= unix.MOUNT_ATTR_RDONLY
		}
		return o | inherited | unix.MOUNT_ATTR_IDMAP, err
	case pin, filesystem.ReadOnly:
		on, err := b.options(b.tree[w.parent])
		if w.Type == filesystem.ReadOnly {
			on |= unix.MOUNT_ATTR_RDONLY
		}
		return on, err
	}
	return o, nil
}

// inherited is how the host's own mount limits what can be done with f: a bind of it
// must not allow more.
func inherited(f *os.File) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("read mount options of %s: %w", f.Name(), err)
	}
	var o uint64
	if st.Flags&unix.ST_RDONLY != 0 {
		o |= unix.MOUNT_ATTR_RDONLY
	}
	if st.Flags&unix.ST_NOEXEC != 0 {
		o |= unix.MOUNT_ATTR_NOEXEC
	}
	return o, nil
}

// optionsOf reads the options of a mount that matter here.
func optionsOf(r mountns.Row) uint64 {
	var o uint64
	for name := range strings.SplitSeq(r.Options, ",") {
		switch name {
		case "ro":
			o |= unix.MOUNT_ATTR_RDONLY
		case "nosuid":
			o |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			o |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			o |= unix.MOUNT_ATTR_NOEXEC
		case "idmapped":
			o |= unix.MOUNT_ATTR_IDMAP
		}
	}
	return o
}
