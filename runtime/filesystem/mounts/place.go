//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// An owner says to whom a new file belongs, what it holds, and who keeps record of it.
type owner struct {
	uid, gid int
	made     *ledger // of the host's files that are made; nil is none
	content  string
}

// makePlace makes the mount point of want i, with the folders above it: in the
// skeleton, or in what it lies on. There it is made behind the mount's back,
// as the sandbox's may be read-only.
func (b *box) makePlace(i int, where placement) error {
	w := b.tree[i]
	folder, err := b.folder(w)
	if err != nil {
		return err
	}
	if w.base < 0 {
		return b.makeInSkeleton(w.Target, folder)
	}
	if b.tree[w.base].overlay() {
		return b.noPlace(w, where)
	}
	raw, err := b.raw(w.base, where)
	if err != nil {
		return err
	}
	base := b.tree[w.base]
	o := owner{uid: b.env.UID, gid: b.env.GID, content: w.Content}
	switch base.Type {
	case filesystem.Tmpfs:
		o.uid, o.gid = int(b.user), int(b.group)
	case filesystem.Bind:
		if o.made, err = openLedger(b.env, base.Source); err != nil {
			return err
		}
	}
	err = makeBelow(raw, strings.TrimPrefix(w.Target, base.Target+"/"), folder, o)
	if err != nil {
		return b.obstacle(w, err)
	}
	return nil
}

// folder reports whether want w needs a folder to be mounted on, where there is
// nothing yet.
func (b *box) folder(w want) (bool, error) {
	switch w.Type {
	case filesystem.Hide, filesystem.ReadOnly:
		return w.Dir, nil
	case filesystem.Bind:
		src, err := openSource(b.env, w.Mount)
		if err != nil {
			return false, err
		}
		defer func() { _ = src.Close() }()
		st, err := mountns.Stat(src)
		return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
	}
	return true, nil
}

// raw is the root of want i with the owners that are on disk.
func (b *box) raw(i int, where placement) (*os.File, error) {
	if f := b.raws[i]; f != nil {
		return f, nil
	}
	f, err := b.openRaw(b.tree[i], where)
	if err != nil {
		return nil, err
	}
	b.raws[i] = b.keep(f)
	return f, nil
}

func (b *box) openRaw(w want, where placement) (*os.File, error) {
	switch w.Type {
	case filesystem.Bind:
		src, err := openSource(b.env, w.Mount)
		if err != nil {
			return nil, err
		}
		defer func() { _ = src.Close() }()
		// A clone doesn't have what the host has mounted below: this is what
		// the sandbox sees.
		return mountns.Clone(src, mountns.Attr{})
	case filesystem.Layer:
		root, err := b.rawLayer()
		if err != nil {
			return nil, err
		}
		return mountns.OpenAt(root, w.Name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_BENEATH)
	}
	return b.view.Open(where(w.Target))
}

// makeInSkeleton makes a mount point in the root of the sandbox.
func (b *box) makeInSkeleton(target string, folder bool) error {
	r, err := b.skeleton()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	name := target[1:]
	if err := r.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make %s in the sandbox: %w", target, err)
	}
	err = makeIn(r, name, folder)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s in the sandbox: %w", target, err)
	}
	return nil
}

// standing are mount points that are there before anything is mounted.
var standing = map[string]bool{"/": true, filesystem.HomeDir: true, "/home": true, "/var": true, "/var/tmp": true, filesystem.TempDir: true, filesystem.WorkspaceDir: true}

// dropPlace removes a mount point from the root of the sandbox, and the folders
// above it that were made for it. Where something is mounted or lies, it stays.
func (b *box) dropPlace(target string) error {
	r, err := b.skeleton()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for p := target; !standing[p]; p = path.Dir(p) {
		err := r.Remove(p[1:])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil // others lie there
		}
	}
	return nil
}

// makeBelow makes a file or folder at name below root, and the folders above
// it. It never follows a link nor crosses into another file system. What is there is left as
// it is.
func makeBelow(root *os.File, name string, folder bool, o owner) error {
	dir := root
	parts := strings.Split(name, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		rel := path.Join(parts[:i+1]...)
		next, err := openPart(dir, part, last)
		if errors.Is(err, fs.ErrNotExist) {
			if err := makePart(dir, part, rel, folder || !last, o); err != nil {
				return fmt.Errorf("make %s: %w", rel, err)
			}
			next, err = openPart(dir, part, last)
		}
		if dir != root {
			_ = dir.Close()
		}
		if err != nil {
			return err
		}
		dir = next
	}
	return dir.Close()
}

func openPart(dir *os.File, name string, last bool) (*os.File, error) {
	flags := unix.O_PATH
	if last {
		flags |= unix.O_NOFOLLOW // a link there is somebody's, and is found out later
	} else {
		flags |= unix.O_DIRECTORY
	}
	return mountns.OpenAt(dir, name, flags, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
}

// makePart makes one file or folder in dir. In the person's folders it is there
// as theirs, or not at all: who comes by in between must not find one of root's.
func makePart(dir *os.File, name, rel string, folder bool, o owner) error {
	p := placeholder{Path: rel, Folder: folder}
	if !folder {
		p.Content = o.content
	}
	if o.made != nil {
		whole := makeFile
		if folder {
			whole = makeFolder
		}
		if err := whole(dir, name, p, o); !slices.ContainsFunc(unable, func(no error) bool { return errors.Is(err, no) }) {
			return err
		}
	}
	if err := o.made.intend(p); err != nil {
		return err
	}
	return makeThere(dir, name, p, o)
}

// unable are answers of file systems that lack what makeFile and makeFolder need.
var unable = []error{unix.EOPNOTSUPP, unix.EXDEV, unix.EINVAL}

// makeThere makes a file or folder where it shall be. It is root's for a moment.
func makeThere(dir *os.File, name string, p placeholder, o owner) error {
	flags := unix.O_NOFOLLOW | unix.O_CLOEXEC
	mode := fs.FileMode(0o644)
	if p.Folder {
		mode = 0o755
		flags |= unix.O_DIRECTORY
		if err := unix.Mkdirat(int(dir.Fd()), name, 0o700); err != nil {
			return ignoreExist(err)
		}
	} else {
		flags |= unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY
	}
	fd, err := unix.Openat(int(dir.Fd()), name, flags, 0o600)
	if err != nil {
		return ignoreExist(err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	st, err := mountns.Stat(f)
	if err != nil {
		return err
	}
	if st.Uid != uint32(os.Geteuid()) { // exchanged before it was opened: it is somebody's
		return nil
	}
	if err := p.fill(f); err != nil {
		return err
	}
	return o.own(f, mode, p)
}

// own gives f to whom it is for, and records that it was made.
func (o owner) own(f *os.File, mode fs.FileMode, p placeholder) error {
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Chown(o.uid, o.gid); err != nil {
		return err
	}
	return o.made.note(p, f)
}

// makeFile makes a file that is there with all of its content, or not at all:
// who reads it may take half of it for something else, and what is there already when
// we come back is not ours to finish. Not every file system can (open(2), O_TMPFILE).
func makeFile(dir *os.File, name string, p placeholder, o owner) error {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	if err := p.fill(f); err != nil {
		return err
	}
	if err := o.own(f, 0o644, p); err != nil {
		return err
	}
	return ignoreExist(unix.Linkat(fd, "", int(dir.Fd()), name, unix.AT_EMPTY_PATH))
}

// fill writes the content, and has it on disk before the file has a name: after a power
// failure an empty one would be taken for the person's.
func (p placeholder) fill(f *os.File) error {
	if p.Content == "" {
		return nil
	}
	if _, err := f.WriteString(p.Content); err != nil {
		return err
	}
	return f.Sync()
}

// draftFolder is a folder on its way to its place. It is made where nobody but
// root comes.
const draftFolder = "placeholder.new"

// makeFolder makes a folder in the state folder and moves it to its place, which
// takes one file system.
func makeFolder(dir *os.File, name string, p placeholder, o owner) error {
	if err := dropDraft(o.made.env); err != nil {
		return err
	}
	to, err := o.made.host(dir, p)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	from, err := os.OpenFile(o.made.env.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := unix.Mkdirat(int(from.Fd()), draftFolder, 0o700); err != nil {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(from.Name(), draftFolder), Err: err}
	}
	defer func() { _ = dropDraft(o.made.env) }() // not there any more if all went well
	f, err := mountns.OpenAt(from, draftFolder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := o.own(f, 0o755, p); err != nil {
		return err
	}
	return ignoreExist(unix.Renameat2(int(from.Fd()), draftFolder, int(to.Fd()), name, unix.RENAME_NOREPLACE))
}

// dropDraft removes what a process that died in makeFolder has left.
func dropDraft(env state.Env) error {
	if err := os.Remove(filepath.Join(env.Dir, draftFolder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make placeholder: %w", err)
	}
	return nil
}

// ignoreExist takes it as done that somebody else was faster.
func ignoreExist(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
