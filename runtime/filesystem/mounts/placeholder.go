//go:build linux

package mounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
	"blast.example/blast/state/backend/local"
)

// ledgerFile lists the placeholders: files and folders that were made in
// the person's folders so that something protects the path while it is absent.
const ledgerFile = "placeholders.json"

// ledgerDraft is the list while it is written.
const ledgerDraft = ledgerFile + ".new"

// A placeholder is one of them. It is recorded before it is made, without
// identity, and again after.
type placeholder struct {
	Path   string `json:"path"` // on the host
	Folder bool   `json:"folder,omitempty"`
	// Content is what a file was made with: nothing, but for one that may not be empty.
	Content string `json:"content,omitempty"`
	Inode   uint64 `json:"inode,omitempty"`
	Born    int64  `json:"born,omitempty"` // ns after 1970; a number is used again, a birth is not

	Env     string `json:"environment,omitempty"` // id: a copy of a project has the list of the other one
	Project string `json:"project,omitempty"`     // its folder then: see filesystem.Moved
}

// A ledger is the list of an environment, opened to add what is made below root.
// The nil ledger records nothing.
type ledger struct {
	env  state.Env
	root string
	all  []placeholder
}

func openLedger(env state.Env, root string) (*ledger, error) {
	all, err := readLedger(env)
	return &ledger{env, root, all}, err
}

func readLedger(env state.Env) ([]placeholder, error) {
	var all []placeholder
	b, err := local.Read(filepath.Join(env.Dir, ledgerFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := env.ReadNote(ledgerNote, &all); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("read placeholders: %w", err)
	case len(bytes.Trim(b, "\x00")) == 0: // there was a power failure before it was synced
	default:
		if err := json.Unmarshal(b, &all); err != nil {
			return nil, fmt.Errorf("read placeholders: %s: %w", filepath.Join(env.Dir, ledgerFile), err)
		}
	}
	all = slices.DeleteFunc(all, func(p placeholder) bool { return p.Env != "" && p.Env != env.ID })
	for i := range all {
		all[i].Path = filesystem.Moved(all[i].Path, all[i].Project, env.Project)
		all[i].Env, all[i].Project = env.ID, env.Project
	}
	return all, nil
}

// ledgerNote is the list once more, where it outlives the project's folder.
const ledgerNote = "placeholders"

// writeLedger replaces the list; an empty one is no file. It is synced only when all
// is made, see syncLedger: until then what it tells apart is a process that died, and
// after a power failure a placeholder may stay, which says nothing.
func writeLedger(env state.Env, all []placeholder) error {
	name := filepath.Join(env.Dir, ledgerFile)
	if len(all) == 0 {
		if err := env.DropNote(ledgerNote); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write placeholders: %w", err)
		}
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("write placeholders: %w", err)
	}
	if err := dropLedgerDraft(env); err != nil {
		return err
	}
	draft := filepath.Join(env.Dir, ledgerDraft)
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write placeholders: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(draft, name)
	}
	if err != nil {
		return fmt.Errorf("write placeholders: %w", err)
	}
	if _, err := os.Lstat(env.Run); errors.Is(err, fs.ErrNotExist) {
		return nil // after a reboot, which took the note
	}
	return env.WriteNote(ledgerNote, all)
}

// dropLedgerDraft removes what was left by one that died, or had no room, as it wrote.
func dropLedgerDraft(env state.Env) error {
	if err := os.Remove(filepath.Join(env.Dir, ledgerDraft)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write placeholders: %w", err)
	}
	return nil
}

// syncLedger has the list on disk.
func syncLedger(env state.Env) error {
	for _, name := range []string{ledgerFile, "."} {
		f, err := os.OpenFile(filepath.Join(env.Dir, name), os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("sync placeholders: %w", err)
		}
	}
	return nil
}

// intend records that p is about to be made, at its path below the root.
func (l *ledger) intend(p placeholder) error {
	if l == nil {
		return nil
	}
	p.Path = path.Join(l.root, p.Path)
	return l.put(p)
}

// note records that f is what was made as p.
func (l *ledger) note(p placeholder, f *os.File) error {
	if l == nil {
		return nil
	}
	now, err := identify(f)
	if err != nil {
		return err
	}
	now.Path, now.Content = path.Join(l.root, p.Path), p.Content
	return l.put(now)
}

func (l *ledger) put(p placeholder) error {
	p.Env, p.Project = l.env.ID, l.env.Project
	l.all = slices.DeleteFunc(l.all, func(o placeholder) bool { return o.Path == p.Path })
	l.all = append(l.all, p)
	return writeLedger(l.env, l.all)
}

// host opens dir, in which p is to be made, by the host's own mount: nothing can be
// moved from one mount to another, not even within a file system. EXDEV is that its
// path leads elsewhere by now.
func (l *ledger) host(dir *os.File, p placeholder) (*os.File, error) {
	f, err := mountns.OpenHost(path.Dir(path.Join(l.root, p.Path)))
	if err != nil {
		return nil, unix.EXDEV
	}
	a, errA := mountns.Stat(dir)
	b, errB := mountns.Stat(f)
	if errA != nil || errB != nil || a.Dev != b.Dev || a.Ino != b.Ino {
		_ = f.Close()
		return nil, unix.EXDEV
	}
	return f, nil
}

// identify tells a file from any other, also from a later one with the same
// number, where the file system keeps times of birth (statx(2)).
func identify(f *os.File) (placeholder, error) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_TYPE|unix.STATX_BTIME|unix.STATX_SIZE, &st)
	if err != nil {
		return placeholder{}, fmt.Errorf("identify placeholder: %w", err)
	}
	p := placeholder{Inode: st.Ino, Folder: st.Mode&unix.S_IFMT == unix.S_IFDIR}
	if st.Mask&unix.STATX_BTIME != 0 {
		p.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return p, nil
}

// dropPlaceholders removes those that keep doesn't want, if they are still what
// was made, inner ones first. What became of one meanwhile is the
// person's.
func dropPlaceholders(env state.Env, keep func(path string) bool) error {
	if err := errors.Join(dropDraft(env), dropLedgerDraft(env)); err != nil {
		return err
	}
	all, err := readLedger(env)
	if err != nil || len(all) == 0 {
		return err
	}
	slices.SortStableFunc(all, func(a, b placeholder) int { return len(b.Path) - len(a.Path) })
	var left []placeholder
	var errs []error
	for _, p := range all {
		if keep(p.Path) {
			left = append(left, p)
		} else if err := p.remove(); err != nil {
			errs = append(errs, err)
			left = append(left, p)
		}
	}
	return errors.Join(append(errs, writeLedger(env, left), syncLedger(env))...)
}

// remove removes the placeholder if it is one.
func (p placeholder) remove() error {
	dir, err := mountns.OpenHost(path.Dir(p.Path))
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove placeholder: %w", err)
	}
	defer func() { _ = dir.Close() }()
	f, err := mountns.OpenAt(dir, path.Base(p.Path), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove placeholder: %w", err)
	}
	defer func() { _ = f.Close() }()
	ours, err := p.is(f)
	if err != nil || !ours {
		return err
	}
	flags := 0
	if p.Folder {
		flags = unix.AT_REMOVEDIR
	}
	err = unix.Unlinkat(int(dir.Fd()), path.Base(p.Path), flags)
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) && !gone(err) {
		return fmt.Errorf("remove placeholder %s: %w", p.Path, err)
	}
	return nil
}

// is reports whether f is what was made, and holds what it was made with. One without identity is of a
// process that died as it made it.
func (p placeholder) is(f *os.File) (bool, error) {
	now, err := identify(f)
	if err != nil {
		return false, err
	}
	st, err := mountns.Stat(f)
	if err != nil {
		return false, err
	}
	if now.Folder != p.Folder || p.Inode != 0 && (p.Inode != now.Inode || p.Born != now.Born) {
		return false, nil
	}
	if p.Folder {
		return true, nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.Size != int64(len(p.Content)) {
		return false, nil
	}
	return p.Content == "" || holds(f, p.Content), nil
}

// holds reports whether a regular file, opened by O_PATH, has this content. One that can't be
// read has not.
func holds(f *os.File, content string) bool {
	r, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, int64(len(content))+1))
	return err == nil && string(b) == content
}

// gone reports whether a path doesn't lead anywhere any more.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
