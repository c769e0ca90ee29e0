//go:build linux

// Package accept takes changes of a layer over into a project, all or none.
//
// What is new is made in a folder of Blast's own beside the project's files, whole and on disk.
// Then a journal is written, and after that each path changes by one rename, which what
// was there survives:
//
//	put     a file, link or folder that was made changes places with what is there (renameat2(2),
//	        RENAME_EXCHANGE), or goes where there is nothing (RENAME_NOREPLACE)
//	remove  what is there goes into the folder
//
// The same renames backwards take it back. When all are done the journal says so, which is the
// commit point; a process that died before it is taken back by the next command, one that died
// after it is finished.
//
// No path is followed by name: each folder is opened below the project, without links and
// without leaving its file system.
package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/state/backend/local"
)

// Folder is where changes are made ready, in the state folder; it is there only while one is
// under way.
const Folder = "accept"

const (
	journalName = "journal.json"
	beneath     = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV
)

// A Taking is under way in a state folder.
type Taking struct {
	Dir     string   // the state folder
	Project *os.File // the source of the workspace
	Upper   *os.File // what commands wrote over it

	UID, GID int // to whom all belongs that is taken over

	staged *os.File
	did    journal
}

// A journal is what a taking does. It lies in Folder from before the first change.
type journal struct {
	Done    bool             `json:"done"`
	Steps   []step           `json:"steps"`
	Changes []overlay.Change `json:"changes"` // what is to go from the layer then
}

// A step changes one path. Inode numbers tell on which side of it the path is.
type step struct {
	Path string `json:"path"`
	Slot string `json:"slot"`          // its name in the folder: of what is put, and then of what was there
	New  uint64 `json:"new,omitempty"` // inode of what is put; 0 if the path is only removed
	Old  uint64 `json:"old,omitempty"` // of what is there; 0 if nothing is
	// Written is when Old was written last, in ns after 1970: a rename leaves that as it is.
	Written int64 `json:"written,omitempty"`
}

// Under reports whether a taking is under way in a state folder.
func Under(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, Folder))
	return err == nil
}

// Take carries out all changes, or none. What is left to do then is done by Finish.
func (t *Taking) Take(ctx context.Context, changes []overlay.Change) error {
	err := t.stage(ctx, changes)
	if err == nil {
		err = t.write(false)
	}
	if err != nil {
		return errors.Join(err, t.clear())
	}
	if err = t.switchAll(ctx); err == nil {
		err = t.write(true)
	}
	if err != nil {
		if undone := t.undo(); undone != nil {
			return errors.Join(err, undone)
		}
		return errors.Join(err, t.clear())
	}
	return nil
}

// Recover takes back what a dead process had begun, and reports which changes are taken over and have
// to go from the layer, if it had come so far: then Finish is to be called.
func (t *Taking) Recover() (changes []overlay.Change, taken bool, err error) {
	b, err := local.Read(filepath.Join(t.Dir, Folder, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, t.clear() // nothing was changed yet
	}
	if err == nil {
		err = json.Unmarshal(b, &t.did)
	}
	if err == nil {
		err = t.open()
	}
	if err != nil {
		return nil, false, fmt.Errorf("read what accept had begun: %w", err)
	}
	if t.did.Done {
		return t.did.Changes, true, nil
	}
	if err := t.undo(); err != nil {
		return nil, false, err
	}
	return nil, false, t.clear()
}

// Finish forgets what was there before.
func (t *Taking) Finish() error { return t.clear() }

func (t *Taking) folder() string { return filepath.Join(t.Dir, Folder) }

func (t *Taking) open() (err error) {
	if t.staged != nil {
		return nil
	}
	t.staged, err = os.OpenFile(t.folder(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	return err
}

// clear removes the folder. The journal goes last: what is in the folder without it is of no use.
func (t *Taking) clear() error {
	if t.staged != nil {
		_ = t.staged.Close()
		t.staged = nil
	}
	es, err := os.ReadDir(t.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range es {
		if e.Name() != journalName && err == nil {
			err = os.RemoveAll(filepath.Join(t.folder(), e.Name()))
		}
	}
	if err == nil {
		err = os.RemoveAll(t.folder())
	}
	if err != nil {
		return fmt.Errorf("clear what accept made ready: %w", err)
	}
	return nil
}

func (t *Taking) write(done bool) error {
	t.did.Done = done
	b, err := json.Marshal(t.did)
	if err != nil {
		return err
	}
	if err := local.Replace(filepath.Join(t.folder(), journalName), b); err != nil {
		return fmt.Errorf("write journal of accept: %w", err)
	}
	return nil
}

// parent opens the folder of a path of the project, and where it is.
func (t *Taking) parent(p string) (*os.File, error) {
	dir, err := mountns.OpenAt(t.Project, path.Dir(p), unix.O_RDONLY|unix.O_DIRECTORY, beneath)
	if err != nil {
		return nil, fmt.Errorf("open the folder of %q in the project, without following links: %w", p, err)
	}
	return dir, nil
}

// switchAll changes every path, and has that on disk.
func (t *Taking) switchAll(ctx context.Context) error {
	for _, s := range t.did.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.change(s); err != nil {
			return err
		}
	}
	return t.sync()
}

// sync has on disk all that was done: once for all files, not once for each.
func (t *Taking) sync() error {
	if err := unix.Syncfs(int(t.staged.Fd())); err != nil {
		return fmt.Errorf("write the project out: %w", err)
	}
	return nil
}

func (t *Taking) change(s step) error {
	dir, err := t.parent(s.Path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	name, from, to := path.Base(s.Path), int(t.staged.Fd()), int(dir.Fd())
	switch {
	case s.New == 0:
		err = unix.Renameat2(to, name, from, s.Slot, unix.RENAME_NOREPLACE)
	case s.Old == 0:
		err = unix.Renameat2(from, s.Slot, to, name, unix.RENAME_NOREPLACE)
	default:
		err = unix.Renameat2(from, s.Slot, to, name, unix.RENAME_EXCHANGE)
	}
	if err != nil {
		return fmt.Errorf("take %q over: %w", s.Path, err)
	}
	if s.Old != 0 { // what came out is what was looked at
		var st unix.Stat_t
		if err := unix.Fstatat(from, s.Slot, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Ino != s.Old || st.Mtim.Nano() != s.Written {
			return errors.Join(moved(s.Path), err)
		}
	}
	return nil
}

func moved(p string) error {
	return fmt.Errorf("%q was changed in the project meanwhile: look at blast diff again", p)
}

// undo takes back every step that was made, the last one first.
func (t *Taking) undo() error {
	var errs []error
	for _, s := range slices.Backward(t.did.Steps) {
		if err := t.back(s); err != nil {
			errs = append(errs, fmt.Errorf("take %q back: %w", s.Path, err))
		}
	}
	return errors.Join(errs...)
}

// back takes back one step, if it was made and nobody has changed the path since.
func (t *Taking) back(s step) error {
	dir, err := t.parent(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its folder was not made
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	name, from, to := path.Base(s.Path), int(t.staged.Fd()), int(dir.Fd())
	here, there := inode(dir, name), inode(t.staged, s.Slot)
	switch {
	case s.New == 0 && there != 0 && here == 0:
		return unix.Renameat2(from, s.Slot, to, name, unix.RENAME_NOREPLACE)
	case s.New == 0 || here != s.New:
		return nil
	case s.Old == 0:
		return unix.Renameat2(to, name, from, s.Slot, unix.RENAME_NOREPLACE)
	}
	return unix.Renameat2(from, s.Slot, to, name, unix.RENAME_EXCHANGE)
}

// inode is that of a name in a folder, 0 if there is none.
func inode(dir *os.File, name string) uint64 {
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return 0
	}
	return st.Ino
}

func slot(n int) string { return "f" + strconv.Itoa(n) }
