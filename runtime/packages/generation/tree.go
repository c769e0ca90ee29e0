//go:build linux

package generation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/packages/wheel"
)

// A tree is a generation being made.
type tree struct {
	root  *os.Root
	made  map[string]bool // folders
	files []file
	apart bool // the cache is on a file system that can't be linked from
}

// makeFolder makes a folder and those above it, readable whatever the umask is.
func (t *tree) makeFolder(dir string) error {
	if dir == "." || t.made[dir] {
		return nil
	}
	if err := t.makeFolder(path.Dir(dir)); err != nil {
		return err
	}
	if err := t.root.Mkdir(dir, folderMode); err != nil {
		return err
	}
	t.made[dir] = true
	return t.root.Chmod(dir, folderMode)
}

// addPart links the files that project i gives to the layout, folder by folder.
func (t *tree) addPart(l *layout, i int) error {
	byFolder := map[string][]wheel.File{}
	for _, f := range l.parts[i].files {
		if l.files[f.Path].part == i {
			byFolder[path.Dir(f.Path)] = append(byFolder[path.Dir(f.Path)], f)
		}
	}
	if len(byFolder) == 0 {
		return nil
	}
	from, err := os.OpenRoot(l.parts[i].tree)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	for _, dir := range slices.Sorted(maps.Keys(byFolder)) {
		if err := t.addFolder(from, dir, byFolder[dir]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) addFolder(from *os.Root, dir string, files []wheel.File) error {
	if err := t.makeFolder(dir); err != nil {
		return err
	}
	src, err := from.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = dst.Close() }()
	for _, f := range files {
		if err := t.addFile(from, src, dst, f); err != nil {
			return fmt.Errorf("%s: %w", clip(f.Path), err)
		}
		t.files = append(t.files, file{f.Path, f.Size, f.Executable})
	}
	return nil
}

// addFile links a file of the cache, or copies it where that can't be: on another
// file system, or when it has too many links.
func (t *tree) addFile(from *os.Root, src, dst *os.File, f wheel.File) error {
	if t.apart {
		return t.copyFile(from, f)
	}
	base := path.Base(f.Path)
	err := unix.Linkat(int(src.Fd()), base, int(dst.Fd()), base, 0)
	switch {
	case errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM):
		t.apart = true
		return t.copyFile(from, f)
	case errors.Is(err, unix.EMLINK):
		return t.copyFile(from, f)
	}
	return err
}

// copyFile is for once a look at the content, too.
func (t *tree) copyFile(from *os.Root, f wheel.File) error {
	in, err := from.OpenFile(f.Path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := t.root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode())
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), io.LimitReader(in, f.Size+1))
	err = errors.Join(err, out.Chmod(f.Mode()), out.Close())
	if err == nil && hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		err = errors.New("its content in the cache was changed")
	}
	if err == nil {
		err = t.root.Chtimes(f.Path, wheel.Time, wheel.Time)
	}
	return err
}
