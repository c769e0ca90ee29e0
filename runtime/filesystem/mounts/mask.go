//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// What is hidden shows one of these instead: a file and a folder that nobody may
// open. They belong to the host's root, an id that no sandbox has, so not even
// root inside, with any capability, may (user_namespaces(7)): a capability
// counts only for files whose owner the sandbox knows.
const (
	maskFile   = "hidden-file"
	maskFolder = "hidden-folder"
)

// masks reads which files stand for what is hidden.
func (b *box) masks() []unix.Stat_t {
	var all []unix.Stat_t
	for _, name := range []string{maskFile, maskFolder} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(b.env.Run, name), &st); err == nil && st.Uid == 0 && st.Mode&0o7777 == 0 {
			all = append(all, st)
		}
	}
	return all
}

// hidden makes a detached mount to put on what is to be hidden.
func (b *box) hidden(folder bool) (*os.File, error) {
	f, err := openMask(b.env, folder)
	if err != nil {
		return nil, fmt.Errorf("make mask: %w", err)
	}
	defer func() { _ = f.Close() }()
	return mountns.Clone(f, mountns.Attr{Set: sealed})
}

func openMask(env state.Env, folder bool) (*os.File, error) {
	run, err := os.OpenRoot(env.Run)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Close() }()
	name := maskFile
	if folder {
		name = maskFolder
		err = run.Mkdir(name, 0)
	} else {
		var made *os.File
		if made, err = run.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0); err == nil {
			err = made.Close()
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := run.Chmod(name, 0); err != nil {
		return nil, err
	}
	return mountns.OpenHost(filepath.Join(env.Run, name))
}

// dropMasks removes the files that stand for what is hidden. Mounts of them stay
// as they are.
func dropMasks(env state.Env) error {
	for _, name := range []string{maskFile, maskFolder} {
		if err := os.Remove(filepath.Join(env.Run, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove mask: %w", err)
		}
	}
	return nil
}

// itself makes a detached mount of what lies at place, to be put on it: a pin,
// or one that can't be written.
func (b *box) itself(w want, place *os.File) (*os.File, error) {
	var a mountns.Attr
	if w.Type == filesystem.ReadOnly {
		a.Set = unix.MOUNT_ATTR_RDONLY
	}
	return b.in.CloneInside(place, a)
}
