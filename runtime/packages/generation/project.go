//go:build linux

package generation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/packages"
	"blast.example/blast/state"
)

// A project is the person's folder. Whoever owns it may be hostile to root and may
// change it at any moment: nothing is reached but through root.
type project struct {
	env  state.Env
	root *os.Root
}

func openProject(env state.Env) (*project, error) {
	dir, err := openNoLinks(env.Project)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	defer func() { _ = dir.Close() }()
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	return &project{env, root}, nil
}

// lockName is the lock file's path in the project; "" if the set has none.
func (p *project) lockName(set packages.Set) (string, error) {
	if set.Lock.Path == "" || set.Lock.Content == "" {
		return "", nil
	}
	// The absolute path may be one of before the project was moved.
	name, err := set.Wishes.LockPath, error(nil)
	if name == "" || !strings.HasSuffix(set.Lock.Path, "/"+name) {
		name, err = filepath.Rel(p.env.Project, set.Lock.Path)
	}
	if err != nil || !filepath.IsLocal(name) || name == "." {
		return "", fmt.Errorf("lock file %s is not in the project %s", set.Lock.Path, p.env.Project)
	}
	return name, nil
}

// read reads the lock file as it is. A link in its place is an error: nobody could
// tell whether it or what it leads to is meant.
func (p *project) read(name string) (kept, error) {
	k := kept{Absent: true}
	fi, err := p.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, fmt.Errorf("read lock file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return k, fmt.Errorf("lock file %s: %w: remove it, or name another one with `lock` in the python block", name, errNotRegular)
	}
	k = kept{Mode: fi.Mode().Perm(), UID: int(owner(fi)), GID: int(group(fi))}
	if k.Content, err = readRegular(p.root, name, maxLock); err != nil {
		return k, fmt.Errorf("read lock file: %w", err)
	}
	return k, nil
}

func (p *project) write(name string, content []byte, mode fs.FileMode, uid, gid int) error {
	err := replace(p.root, name, content, mode, uid, gid)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: make the folder %s", err, path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write lock file %s: %w", name, err)
	}
	return nil
}

// draftOf is where a file is made that is on its way to replace name.
func draftOf(name string) string {
	dir, base := path.Split(name)
	return dir + ".blast-" + base
}

// replace puts a file at name in one step: a reader or a crash sees the old one or
// the new. The new one belongs to uid before it has its name.
func replace(root *os.Root, name string, content []byte, mode fs.FileMode, uid, gid int) error {
	tmp := draftOf(name)
	// That of a process that died, or a trap: O_EXCL would open neither.
	if err := ignoreMissing(root.Remove(tmp)); err != nil {
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chown(uid, gid), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(root.Remove(tmp)))
	}
	return syncFolder(root, path.Dir(name))
}

func syncFolder(root *os.Root, dir string) error {
	d, err := root.OpenFile(dir, unix.O_DIRECTORY|nonBlocking, 0)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// problem says why the lock file can't be written; "" if it can.
func (p *project) problem(set packages.Set) (reason, fix string, err error) {
	name, err := p.lockName(set)
	if err != nil {
		return err.Error(), "Write a path in the project.", nil //nolint:nilerr // the error is the problem
	}
	if name == "" {
		return "", "", nil
	}
	was, err := p.read(name)
	if errors.Is(err, errNotRegular) {
		return name + " is no plain file", "Remove it, or name another file with lock.", nil
	}
	if err != nil || was.agrees(set) {
		return "", "", err
	}
	if fi, err := p.root.Stat(path.Dir(name)); err != nil || !fi.IsDir() {
		return "the project has no folder " + path.Dir(name), "Make it, or name another file with lock.", nil //nolint:nilerr // the error is the problem
	}
	return "", "", nil
}
