//go:build linux

package generation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/state"
)

// lockMode is the mode of a lock file that Blast makes: it is checked in.
const lockMode fs.FileMode = 0o644

// maxLock bounds a lock file, in bytes, as the resolver does.
const maxLock = 32 << 20

// A kept is the lock file as it was before a change, on disk from before the file
// is written until Commit. It says which change it belongs to: only the reverse of
// that one puts it back. (Deleting a set looks the same as undoing its creation,
// and must leave the file.)
type kept struct {
	From string `json:"from"` // digest of Change.From
	To   string `json:"to"`
	Path string `json:"path"` // relative to the project

	Absent  bool        `json:"absent,omitempty"`
	Content []byte      `json:"content,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	UID     int         `json:"uid,omitempty"`
	GID     int         `json:"gid,omitempty"`
}

func digest(attrs json.RawMessage) string {
	if attrs == nil {
		return ""
	}
	return plan.Digest(attrs)
}

// applyLock makes the lock file what the target says, or what it was before if c is
// the undo of the change that wrote it.
func applyLock(env state.Env, f *folder, c plan.Change, to target) error {
	k, err := readKept(f)
	if err != nil {
		return err
	}
	if k != nil && k.From == digest(c.To) && k.To == digest(c.From) {
		return k.restore(env)
	}
	if to.none() || to.drift {
		return nil // a change that wrote nothing has nothing to put back
	}
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	return p.writeLock(f, c, k, to.set)
}

// writeLock writes the lock file if it differs, keeping what is there.
func (p *project) writeLock(f *folder, c plan.Change, old *kept, set packages.Set) error {
	name, err := p.lockName(set)
	if err != nil || name == "" {
		return err
	}
	was, err := p.read(name)
	if err != nil || was.agrees(set) {
		return err
	}
	if old == nil || old.From != digest(c.From) || old.To != digest(c.To) || old.Path != name {
		was.From, was.To, was.Path = digest(c.From), digest(c.To), name
		if err := was.keep(f); err != nil {
			return err
		}
	}
	return p.write(name, []byte(set.Lock.Content), lockMode, p.env.UID, p.env.GID)
}

// missing reports whether there is no lock file. An empty one keeps the place of
// an absent one, so that nobody inside can make it.
func (k kept) missing() bool { return k.Absent || len(k.Content) == 0 }

// agrees reports whether the file needs no writing. A project without packages
// gets no lock file.
func (k kept) agrees(set packages.Set) bool {
	if k.missing() {
		return len(set.Packages) == 0
	}
	return string(k.Content) == set.Lock.Content
}

// lockDrift says how the lock file differs from the set's.
func lockDrift(env state.Env, set packages.Set) (string, error) {
	p, err := openProject(env)
	if err != nil {
		return "", err
	}
	defer func() { _ = p.root.Close() }()
	name, err := p.lockName(set)
	if err != nil || name == "" {
		return "", err
	}
	is, err := p.read(name)
	switch {
	case errors.Is(err, errNotRegular):
		return name + " is no plain file", nil
	case err != nil:
		return "", err
	case is.agrees(set):
		return "", nil
	case is.missing():
		return name + " is missing", nil
	}
	return name + " was changed", nil
}

// readKept reads what was kept; nil is nothing.
func readKept(f *folder) (*kept, error) {
	b, err := readRegular(f.root, lockRecord, 2*maxLock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock file of before: %w", err)
	}
	return &k, nil
}

// keep has k on disk before it returns.
func (k kept) keep(f *folder) error {
	b, err := json.Marshal(k)
	if err == nil {
		err = replace(f.root, lockRecord, b, 0o600, os.Geteuid(), os.Getegid())
	}
	if err != nil {
		return fmt.Errorf("keep lock file: %w", err)
	}
	return nil
}

// restore puts the lock file back. What was written in between is lost, as it was
// written over something that is undone.
func (k kept) restore(env state.Env) error {
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	if !k.Absent {
		return p.write(k.Path, k.Content, k.Mode, k.UID, k.GID)
	}
	if err := p.root.Remove(k.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove lock file: %w", err)
	}
	return nil
}

// dropDraft removes what a process left that died while it wrote the lock file.
func dropDraft(env state.Env, f *folder) error {
	k, err := readKept(f)
	if k == nil || err != nil {
		return err
	}
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	if err := ignoreMissing(p.root.Remove(draftOf(k.Path))); err != nil {
		return fmt.Errorf("remove draft of lock file: %w", err)
	}
	return nil
}

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
	name, err := filepath.Rel(p.env.Project, set.Lock.Path)
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
		return err.Error(), "Write a path in the project.", nil
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
		return "the project has no folder " + path.Dir(name), "Make it, or name another file with lock.", nil
	}
	return "", "", nil
}
