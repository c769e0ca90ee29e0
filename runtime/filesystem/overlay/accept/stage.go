//go:build linux

package accept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/runtime/filesystem/overlay/upper"
)

// stage makes all that is new, and looks at what it takes the place of.
func (t *Taking) stage(ctx context.Context, changes []overlay.Change) error {
	if err := os.Mkdir(t.folder(), 0o700); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if err := t.open(); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	t.did = journal{Changes: bare(changes)}
	for n, c := range changes {
		s := step{Path: c.Path, Slot: slot(n)}
		if err := t.before(&s, c); err != nil {
			return err
		}
		if c.Kind != overlay.Deleted {
			if err := t.make(ctx, s.Slot, c); err != nil {
				return fmt.Errorf("accept %q: nothing was changed: %w", c.Path, err)
			}
			s.New = inode(t.staged, s.Slot)
		}
		t.did.Steps = append(t.did.Steps, s)
	}
	return t.sync()
}

// bare are changes without what is in their files.
func bare(changes []overlay.Change) []overlay.Change {
	out := make([]overlay.Change, 0, len(changes))
	for _, c := range changes {
		out = append(out, overlay.Change{Path: c.Path, Kind: c.Kind, Type: c.Type})
	}
	return out
}

// before notes what lies at the path, which has to be what the change was shown for.
func (t *Taking) before(s *step, c overlay.Change) error {
	if c.Before == "" {
		return nil // RENAME_NOREPLACE will tell
	}
	dir, err := t.parent(s.Path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), path.Base(s.Path), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || c.Stamp != 0 && c.Stamp != st.Ctim.Nano() {
		return errors.Join(moved(s.Path), err)
	}
	s.Old, s.Written = st.Ino, st.Mtim.Nano()
	return nil
}

// make makes what a change brings, in a slot that only Blast can reach.
func (t *Taking) make(ctx context.Context, slot string, c overlay.Change) error {
	at := int(t.staged.Fd())
	switch c.Type {
	case overlay.Folder:
		if err := unix.Mkdirat(at, slot, 0o700); err != nil {
			return &os.PathError{Op: "mkdir", Path: filepath.Join(t.folder(), slot), Err: err}
		}
		return t.own(slot, c.Mode)
	case overlay.Link:
		if err := unix.Symlinkat(c.Link, at, slot); err != nil {
			return &os.PathError{Op: "symlink", Path: filepath.Join(t.folder(), slot), Err: err}
		}
		return unix.Fchownat(at, slot, t.UID, t.GID, unix.AT_SYMLINK_NOFOLLOW)
	case overlay.File:
		return t.copyFile(ctx, slot, c)
	}
	return errors.New(c.Refused)
}

func (t *Taking) own(slot string, mode uint32) error {
	f, err := mountns.OpenAt(t.staged, slot, unix.O_RDONLY, beneath)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Chown(t.UID, t.GID); err != nil {
		return err
	}
	return f.Chmod(os.FileMode(mode).Perm())
}

// copyFile copies content and permission bits, and nothing else: no attributes, no setuid.
func (t *Taking) copyFile(ctx context.Context, slot string, c overlay.Change) error {
	from, err := upper.OpenFile(t.Upper, c.Path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	fd, err := unix.Openat(int(t.staged.Fd()), slot, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(t.folder(), slot), Err: err}
	}
	to := os.NewFile(uintptr(fd), slot)
	defer func() { _ = to.Close() }()
	if err := upper.Copy(ctx, from, to, c.Size); err != nil {
		return err
	}
	if err := to.Chown(t.UID, t.GID); err != nil {
		return err
	}
	return to.Chmod(os.FileMode(c.Mode).Perm())
}
