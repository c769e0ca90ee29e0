//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// A placement says where in the sandbox a target is worked on: at its place, or
// on the stage.
type placement func(target string) string

func inPlace(target string) string { return target }

// staged places the group of want g on the stage.
func (b *box) staged(g int) placement {
	return func(target string) string {
		return stageDir + "/" + stageNew + strings.TrimPrefix(target, b.tree[g].Target)
	}
}

// attach mounts want i, which lies in a group whose upper part is there.
func (b *box) attach(i int, where placement) error {
	w := b.tree[i]
	place, err := b.place(i, where)
	if err != nil || place == nil {
		return err
	}
	defer func() { _ = place.Close() }()
	m, err := b.detached(i, place)
	if err != nil {
		return fmt.Errorf("mount %s: %w", w.Target, err)
	}
	defer func() { _ = m.Close() }()
	if b.shows(w) {
		if err := b.door.mark(m); err != nil {
			return fmt.Errorf("mount %s: %w", w.Target, err)
		}
	}
	err = b.in.Attach(m, place)
	if errors.Is(err, unix.ENOENT) { // it was removed or replaced since
		return errRaced
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", w.Target, err)
	}
	return nil
}

// errRaced says that somebody else changed what was being mounted on: looking
// again will tell.
var errRaced = errors.New("the path was changed meanwhile")

// detached makes what want i mounts at place.
func (b *box) detached(i int, place *os.File) (*os.File, error) {
	w := b.tree[i]
	switch w.Type {
	case filesystem.Bind:
		if w.overlay() {
			return b.overlay(i)
		}
		return b.bind(w)
	case filesystem.Tmpfs:
		attrs := always
		if !w.Exec {
			attrs |= unix.MOUNT_ATTR_NOEXEC
		}
		return b.memory(w).New(attrs)
	case filesystem.Layer:
		return b.layerFolder(w)
	case filesystem.Hide:
		st, err := mountns.Stat(place)
		if err != nil {
			return nil, err
		}
		return b.hidden(st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	return b.itself(w, place)
}

// layerFolder makes a detached mount of a folder of the layer, and the folder if
// it is not there. What is in it belongs to the person on disk, as everything.
func (b *box) layerFolder(w want) (*os.File, error) {
	raw, err := b.rawLayer()
	if err != nil {
		return nil, err
	}
	owner := owner{uid: b.env.UID, gid: b.env.GID}
	if err := makeBelow(raw, w.Name, true, owner); err != nil {
		return nil, err
	}
	dir, err := mountns.OpenAt(raw, w.Name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_BENEATH)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	o, err := b.options(w)
	if err != nil {
		return nil, err
	}
	owners, err := b.userNS()
	if err != nil {
		return nil, err
	}
	return b.in.CloneInside(dir, mountns.Attr{Set: o &^ unix.MOUNT_ATTR_IDMAP, UserNS: owners})
}

// place opens the file or folder that want i is to be mounted on, and makes it
// if there is none. What a pattern matched and is gone, or is a link by now, is wanted no
// more: then there is no place.
func (b *box) place(i int, where placement) (*os.File, error) {
	w := b.tree[i]
	f, err := b.view.Open(where(w.Target))
	if w.found && slices.ContainsFunc(elsewhere, func(no error) bool { return errors.Is(err, no) }) {
		b.tree[i].lost = true
		return nil, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := b.makePlace(i, where); err != nil {
			return nil, err
		}
		f, err = b.view.Open(where(w.Target))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRaced
	}
	if err != nil {
		return nil, b.obstacle(w, err)
	}
	st, err := mountns.Stat(f)
	if err == nil {
		err = fits(w, st.Mode&unix.S_IFMT)
	}
	if err != nil {
		_ = f.Close()
		if w.found {
			b.tree[i].lost, err = true, nil
		}
		return nil, err
	}
	return f, nil
}

// An ObstacleError is a path in the sandbox that can't be what it shall be,
// because of what lies there.
type ObstacleError struct {
	Name   string // key into the tree's Src
	Target string
	Why    string // what is in the way
	Fix    string
}

func (e *ObstacleError) Error() string { return e.Target + " " + e.Why + ": " + e.Fix }

// fits refuses to mount on what is something else than expected.
func fits(w want, typ uint32) error {
	switch {
	case typ == unix.S_IFLNK && w.mask():
		return &ObstacleError{w.Name, w.Target, "is a symbolic link, and a protection is for what it leads to", "replace the link by a file or folder, or protect what it leads to"}
	case typ == unix.S_IFLNK:
		return &ObstacleError{w.Name, w.Target, "is a symbolic link", "remove it, or choose another path"}
	case w.Type == pin && typ != unix.S_IFDIR:
		return &ObstacleError{w.Name, w.Target, "is no folder, and something below it is to be protected",
			fmt.Sprintf("write read_only = [%q], and name what would lie below it in writable: nothing can come below a file that can't be replaced", strings.TrimPrefix(w.Target, filesystem.WorkspaceDir+"/"))}
	}
	return nil
}

// obstacle tells what a failed walk to a target means.
func (b *box) obstacle(w want, err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return &ObstacleError{w.Name, w.Target, "passes a symbolic link", "replace the link by the folder, or name the path that it leads to"}
	case errors.Is(err, unix.ENOTDIR):
		return &ObstacleError{w.Name, w.Target, "passes a file", "remove the file, or the line that names a path below it"}
	}
	return fmt.Errorf("find %s in the sandbox: %w", w.Target, err)
}
