//go:build linux

package upper

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

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/overlay"
)

// A Drop takes changes out of an upper layer, so that commands see what lies below it. Nothing
// runs in the sandbox meanwhile.
//
// The kernel asks that nobody changes the layers of a mounted overlay behind its back. So what
// is to go is removed through the overlay, which then forgets the name, and only the
// whiteout that this leaves is removed from the layer. A process that has a file open keeps the one that
// it has, as when an editor replaces a file.
type Drop struct {
	Upper, Lower *os.File
	Merged       *os.File // as commands see it; nil if it is mounted nowhere
	UID, GID     int      // to whom what is in the layer belongs
	Taken        bool     // what goes from the layer is in the project by now
}

// Drop takes out changes, which are sorted by path, and returns how many have to stay until nobody uses their
// folder. It is idempotent.
func (d *Drop) Drop(ctx context.Context, changes []overlay.Change) (stay int, err error) {
	if err := d.refresh(); err != nil {
		return 0, err
	}
	chosen := map[string]bool{}
	for _, c := range changes {
		chosen[c.Path] = true
		if err := d.explodeAbove(c.Path); err != nil {
			return 0, fmt.Errorf("take %q out of the layer: %w", c.Path, err)
		}
	}
	if err := d.refresh(); err != nil {
		return 0, err
	}
	for _, c := range slices.Backward(changes) {
		if err := ctx.Err(); err != nil {
			return stay, err
		}
		stays, err := d.one(c.Path, chosen)
		if err != nil {
			return stay, fmt.Errorf("take %q out of the layer: %w", c.Path, err)
		}
		if stays {
			stay++
		}
	}
	return stay, d.refresh()
}

func (d *Drop) refresh() error {
	if d.Merged == nil {
		return nil
	}
	return mountns.Refresh(d.Merged)
}

// one takes out one path.
func (d *Drop) one(p string, chosen map[string]bool) (stays bool, err error) {
	dir, err := openFolder(d.Upper, path.Dir(p))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	name := path.Base(p)
	st, err := stat(dir, name)
	if err != nil || st == nil {
		return false, err
	}
	flags := 0
	if typeOf(st.Mode) == overlay.Folder {
		flags = unix.AT_REMOVEDIR
		if empty, err := d.empty(dir, name); err != nil || !empty {
			return false, err
		}
	}
	if !isWhiteout(st) {
		if stays, err := d.through(p, flags, chosen); err != nil || stays {
			return stays && flags == 0, err
		}
	}
	return false, d.raw(dir, name)
}

func (d *Drop) empty(dir *os.File, name string) (bool, error) {
	f, err := openFolder(dir, name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	names, err := namesIn(f)
	return len(names) == 0, err
}

// through removes a path as a command would. It stays if what lies below would not show
// then: some command is in the folder, which the kernel knows as one of the layer alone.
func (d *Drop) through(p string, flags int, chosen map[string]bool) (stays bool, err error) {
	if d.Merged == nil {
		return false, nil
	}
	dir, err := mountns.OpenAt(d.Merged, path.Dir(p), unix.O_PATH|unix.O_DIRECTORY, beneath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	if d.Taken && !d.shows(dir, path.Dir(p), chosen) {
		return true, nil
	}
	err = unix.Unlinkat(int(dir.Fd()), path.Base(p), flags)
	switch {
	case errors.Is(err, unix.ENOTEMPTY): // it shows what lies below already
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	}
	return false, err
}

// shows reports whether a name that goes from a folder of the layer then shows from below:
// the folder is one of both by now, or goes itself. The kernel says 1 link of a folder
// that is of both.
func (d *Drop) shows(dir *os.File, p string, chosen map[string]bool) bool {
	st, err := mountns.Stat(dir)
	if err != nil {
		return false
	}
	return p == "." || st.Nlink == 1 || d.whole(p, chosen)
}

// whole reports whether all that is in a folder of the layer is chosen, and the folder, too.
func (d *Drop) whole(p string, chosen map[string]bool) bool {
	if !chosen[p] {
		return false
	}
	dir, err := openFolder(d.Upper, p)
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	names, err := namesIn(dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		st, err := stat(dir, name)
		if err != nil || st == nil {
			return false
		}
		child := path.Join(p, name)
		if !chosen[child] || typeOf(st.Mode) == overlay.Folder && !d.whole(child, chosen) {
			return false
		}
	}
	return true
}

// raw removes what is left of a name in the layer.
func (d *Drop) raw(dir *os.File, name string) error {
	st, err := stat(dir, name)
	if err != nil || st == nil {
		return err
	}
	flags := 0
	if typeOf(st.Mode) == overlay.Folder {
		flags = unix.AT_REMOVEDIR
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, flags); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// explodeAbove turns each opaque folder that a path lies in into one that says of every name below
// it whether that is there: then it can be said of one alone.
func (d *Drop) explodeAbove(p string) error {
	parts := strings.Split(p, "/")
	for i := 1; i < len(parts); i++ {
		if err := d.explode(strings.Join(parts[:i], "/")); err != nil {
			return err
		}
	}
	return nil
}

func (d *Drop) explode(p string) error {
	u, err := openFolder(d.Upper, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	if !opaque(u) {
		return nil
	}
	l, err := openFolder(d.Lower, p)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
		return nil
	case err != nil:
		return err
	}
	defer func() { _ = l.Close() }()
	names, err := namesIn(l)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.hide(u, l, name); err != nil {
			return err
		}
	}
	err = unix.Fremovexattr(int(u.Fd()), opaqueAttr)
	if errors.Is(err, unix.ENODATA) {
		return nil
	}
	return err
}

// hide says of one name in an opaque folder what that says of all.
func (d *Drop) hide(u, l *os.File, name string) error {
	st, err := stat(u, name)
	if err != nil {
		return err
	}
	if st == nil {
		if err := unix.Mknodat(int(u.Fd()), name, unix.S_IFCHR, 0); err != nil {
			return err
		}
		return unix.Fchownat(int(u.Fd()), name, d.UID, d.GID, unix.AT_SYMLINK_NOFOLLOW)
	}
	below, err := stat(l, name)
	if err != nil || below == nil || typeOf(st.Mode) != overlay.Folder || typeOf(below.Mode) != overlay.Folder {
		return err
	}
	f, err := openFolder(u, name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Fsetxattr(int(f.Fd()), opaqueAttr, []byte("y"), 0)
}
