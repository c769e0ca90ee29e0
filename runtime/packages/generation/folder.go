//go:build linux

package generation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// Names in the packages folder. All that isn't a generation begins with a dot, so
// that a sandbox's `ls` shows what counts.
const (
	packagesDir = "packages"
	currentName = "current"
	newName     = ".new"
	newLink     = ".current"
	lockRecord  = ".lock.json"
)

// folderMode is the mode of all folders: everybody inside reads, nobody writes.
const folderMode fs.FileMode = 0o755

// errNoFolder says that nothing was ever installed.
var errNoFolder = errors.New("no packages folder")

// A folder is an environment's packages folder. It is held by descriptor: the
// project around it belongs to a person who may move and replace it meanwhile.
type folder struct {
	dir  *os.File
	root *os.Root // the same folder
	path string   // for messages
}

// openFolder opens the packages folder, or makes it. Neither it nor anything
// above it may be a link, which could lead anywhere on the host, and it must be
// nobody's but ours.
func openFolder(env state.Env, create bool) (*folder, error) {
	path := filepath.Join(env.Dir, packagesDir)
	parent, err := openNoLinks(env.Dir)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, errNoFolder
	}
	if err != nil {
		return nil, fmt.Errorf("open packages folder: %w", err)
	}
	defer func() { _ = parent.Close() }()
	if create {
		err := unix.Mkdirat(int(parent.Fd()), packagesDir, uint32(folderMode))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make packages folder %s: %w", path, err)
		}
	}
	dir, err := openAt(parent, packagesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoFolder
	}
	if err != nil {
		return nil, fmt.Errorf("open packages folder: %w", err)
	}
	f := &folder{dir: dir, path: path}
	if err := f.begin(create); err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("open packages folder %s: %w", path, err)
	}
	return f, nil
}

// begin checks whose folder it is, and makes it readable whatever the umask was.
func (f *folder) begin(writing bool) error {
	fi, err := f.dir.Stat()
	if err != nil {
		return err
	}
	if !ours(fi) {
		return fmt.Errorf("it belongs to user %d: remove it", owner(fi))
	}
	if writing && fi.Mode().Perm() != folderMode {
		if err := f.dir.Chmod(folderMode); err != nil {
			return err
		}
	}
	f.root, err = os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.dir.Fd()))
	return err
}

// at says where something in the folder failed.
func (f *folder) at(op string, err error) error { return &fs.PathError{Op: op, Path: f.path, Err: err} }

func (f *folder) close() {
	_ = f.root.Close()
	_ = f.dir.Close()
}

// switchTo makes generation id current, or none. It is one rename: whoever looks
// sees the old one or the new.
func (f *folder) switchTo(id string) error {
	if now, err := f.root.Readlink(currentName); err == nil && now == id {
		return nil
	}
	if err := f.replaceCurrent(id); err != nil {
		return fmt.Errorf("switch packages: %w", f.at("change", err))
	}
	return f.dir.Sync()
}

func (f *folder) replaceCurrent(id string) error {
	fi, err := f.root.Lstat(currentName)
	if err == nil && (id == "" || fi.Mode().Type() != fs.ModeSymlink) {
		err = removeTree(f.dir, currentName) // a folder can't be renamed over
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) || id == "" {
		return ignoreMissing(err)
	}
	if err := removeTree(f.dir, newLink); err != nil {
		return err
	}
	if err := f.root.Symlink(id, newLink); err != nil {
		return err
	}
	return f.root.Rename(newLink, currentName)
}

// current is where the link leads, which is a generation only if a manifest there
// says so; "" if there is none.
func (f *folder) current() string {
	id, err := f.root.Readlink(currentName)
	if err != nil {
		return ""
	}
	return id
}

// clear removes all but the named entries. It goes on after a failure.
func (f *folder) clear(keep ...string) error {
	es, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	var errs []error
	for _, e := range es {
		if slices.Contains(keep, e.Name()) {
			continue
		}
		if err := removeTree(f.dir, e.Name()); err != nil {
			errs = append(errs, fmt.Errorf("remove packages: %w", f.at("clear", err)))
		}
	}
	return errors.Join(errs...)
}

// forget removes the folder itself, unless a sandbox shows it: to that, another
// folder of the same name would be invisible. The process kind removes it then.
func (f *folder) forget(env state.Env) error {
	shown, err := filepath.Glob(filepath.Join(env.Run, "root-*")) // see package sandbox
	if err != nil || len(shown) > 0 {
		return err
	}
	parent, err := openNoLinks(env.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove packages folder: %w", err)
	}
	defer func() { _ = parent.Close() }()
	if err := removeTree(parent, packagesDir); err != nil {
		return fmt.Errorf("remove packages folder: %w", err)
	}
	return nil
}
