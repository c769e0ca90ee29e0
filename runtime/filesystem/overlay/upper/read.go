//go:build linux

// Package upper reads the upper layer of an overlayfs beside what lies below it, as a list
// of changes, and takes changes out of it. Both may hold whatever a sandbox could make: no link is
// followed, nothing but regular files is opened.
package upper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/overlay"
)

// Bounds of what is read.
const (
	maxChanges = 200_000
	maxDepth   = 200
	maxShown   = 256 << 10 // bytes of a file whose content is handed out
	maxContent = 8 << 20   // of all together
)

// A Reading compares an upper layer with what lies below it.
type Reading struct {
	Upper, Lower *os.File // opened to read, or by O_PATH
	// Protected reports whether a path is none of the overlay's to change: it is left out. Holds reports
	// whether one lies below a path.
	Protected, Holds func(path string) bool
	// Since is when the layer came from a snapshot, in ns after 1970: what is not younger
	// doesn't say what it was made from. 0 is never.
	Since   int64
	Content bool // also the bytes of files that are not large

	ctx     context.Context //nolint:containedctx // of one walk
	changes []overlay.Change
	bytes   int
}

// Changes lists what commands see otherwise than it is in the project, sorted by path.
func (r *Reading) Changes(ctx context.Context) ([]overlay.Change, error) {
	r.ctx, r.changes, r.bytes = ctx, nil, 0
	upper, err := reopen(r.Upper)
	if err != nil {
		return nil, err
	}
	defer func() { _ = upper.Close() }()
	lower, err := reopen(r.Lower)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lower.Close() }()
	if err := r.walk("", upper, lower, 0); err != nil {
		return nil, err
	}
	slices.SortFunc(r.changes, func(a, b overlay.Change) int { return strings.Compare(a.Path+"/", b.Path+"/") })
	return r.changes, nil
}

func reopen(f *os.File) (*os.File, error) { return openFolder(f, ".") }

const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV

// openFolder opens a folder to read it.
func openFolder(dir *os.File, name string) (*os.File, error) {
	return mountns.OpenAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, beneath)
}

// stat looks at a name in a folder; nil if there is none.
func stat(dir *os.File, name string) (*unix.Stat_t, error) {
	if dir == nil {
		return nil, nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "look at", Path: name, Err: err}
	}
	return &st, nil
}

// walk compares a folder of the upper layer with the same of the project; nil is that there is none.
func (r *Reading) walk(dir string, upper, lower *os.File, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%.100q lies deeper than %d folders", dir, maxDepth)
	}
	names, err := namesIn(upper)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.entry(dir, name, upper, lower, depth); err != nil {
			return err
		}
	}
	if lower == nil || !opaque(upper) {
		return nil
	}
	return r.missing(dir, upper, lower, names)
}

func namesIn(dir *os.File) ([]string, error) {
	names, err := dir.Readdirnames(maxChanges + 1)
	if len(names) > maxChanges {
		return nil, &overlay.TooManyError{Max: maxChanges}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// missing lists what an opaque folder hides.
func (r *Reading) missing(dir string, upper, lower *os.File, names []string) error {
	hidden, err := namesIn(lower)
	if err != nil {
		return err
	}
	btime := born(upper, ".")
	for _, name := range hidden {
		p := path.Join(dir, name)
		if _, there := slices.BinarySearch(names, name); there || r.Protected(p) {
			continue
		}
		st, err := stat(lower, name)
		if err != nil {
			return err
		}
		if st != nil {
			if err := r.deletion(p, lower, name, st, btime); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reading) add(c overlay.Change) error {
	if len(r.changes) >= maxChanges {
		return &overlay.TooManyError{Max: maxChanges}
	}
	r.changes = append(r.changes, c)
	return nil
}

func (r *Reading) deletion(p string, lower *os.File, name string, was *unix.Stat_t, btime int64) error {
	c := overlay.Change{Path: p, Kind: overlay.Deleted, Type: typeOf(was.Mode), Before: typeOf(was.Mode)}
	if c.Type == overlay.File {
		c.Was = was.Size
	}
	if r.Holds(p) {
		c.Refused = "holds a path that is protected"
	}
	c.Stamp = was.Ctim.Nano()
	var err error
	if c.Conflict, err = r.replaced(lower, name, was, btime); err != nil {
		return err
	}
	c.Marks = overlay.Mark(c, true)
	return r.add(c)
}

// replaced says what conflict asks of all that goes when a name of the project does.
func (r *Reading) replaced(lower *os.File, name string, was *unix.Stat_t, btime int64) (string, error) {
	if why := r.conflict(was, btime); why != "" || typeOf(was.Mode) != overlay.Folder {
		return why, nil
	}
	dir, err := openFolder(lower, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	names, err := namesIn(dir)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if err := r.ctx.Err(); err != nil {
			return "", err
		}
		st, err := stat(dir, n)
		if err != nil {
			return "", err
		}
		if st == nil {
			continue
		}
		if why, err := r.replaced(dir, n, st, btime); err != nil || why != "" {
			return why, err
		}
	}
	return "", nil
}

// entry compares one name.
func (r *Reading) entry(dir, name string, upper, lower *os.File, depth int) error {
	p := path.Join(dir, name)
	if r.Protected(p) {
		return nil
	}
	now, err := stat(upper, name)
	if err != nil || now == nil {
		return err
	}
	was, err := stat(lower, name)
	if err != nil {
		return err
	}
	switch {
	case isWhiteout(now) && was == nil:
		return nil
	case isWhiteout(now):
		return r.deletion(p, lower, name, was, born(upper, name))
	case typeOf(now.Mode) == overlay.Folder:
		return r.folder(p, name, upper, lower, was, depth)
	}
	return r.file(p, name, upper, lower, now, was)
}

// folder compares a folder, and tells of a new one unless it is there for others only that are protected.
func (r *Reading) folder(p, name string, upper, lower *os.File, was *unix.Stat_t, depth int) error {
	u, err := openFolder(upper, name)
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	if was != nil && typeOf(was.Mode) == overlay.Folder {
		l, err := openFolder(lower, name)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		return r.walk(p, u, l, depth+1)
	}
	st, err := stat(u, ".")
	if err != nil {
		return err
	}
	c := overlay.Change{Path: p, Kind: overlay.Added, Type: overlay.Folder, Mode: perm(st.Mode)}
	if was != nil {
		c.Kind, c.Before, c.Stamp, c.Conflict = overlay.Retyped, typeOf(was.Mode), was.Ctim.Nano(), r.conflict(was, born(u, "."))
	}
	at := len(r.changes)
	if err := r.add(c); err != nil {
		return err
	}
	if err := r.walk(p, u, nil, depth+1); err != nil {
		return err
	}
	if c.Kind == overlay.Added && len(r.changes) == at+1 && r.Holds(p) {
		r.changes = r.changes[:at]
		return nil
	}
	r.changes[at].Marks = overlay.Mark(c, true)
	return nil
}

// file compares what is no folder.
func (r *Reading) file(p, name string, upper, lower *os.File, now, was *unix.Stat_t) (err error) {
	c := overlay.Change{Path: p, Kind: overlay.Added, Type: typeOf(now.Mode)}
	switch c.Type {
	case overlay.File:
		c.Size, c.Mode = now.Size, perm(now.Mode)
	case overlay.Link:
		to, err := readLink(upper, name)
		if err != nil {
			return err
		}
		c.Link = to
	default:
		c.Refused = "is no file, folder or symbolic link"
	}
	if was != nil {
		c.Kind, c.Before, c.Stamp = overlay.Modified, typeOf(was.Mode), was.Ctim.Nano()
		if c.Before == overlay.File {
			c.Was = was.Size
		}
		if c.Before != c.Type {
			c.Kind = overlay.Retyped
			if c.Before == overlay.Folder && r.Holds(p) {
				c.Refused = "would take the place of a folder that holds a path that is protected"
			}
		}
		if c.Conflict, err = r.replaced(lower, name, was, born(upper, name)); err != nil {
			return err
		}
	}
	if same, err := r.compare(&c, name, upper, lower, was); err != nil || same {
		return err
	}
	c.Marks, c.Doubtful = overlay.Mark(c, was != nil && was.Mode&0o111 != 0 && c.Before == overlay.File), overlay.Doubt(c)
	return r.add(c)
}

// compare reads what is to be known of the content, and reports whether nothing differs.
func (r *Reading) compare(c *overlay.Change, name string, upper, lower *os.File, was *unix.Stat_t) (same bool, err error) {
	if c.Type == overlay.Link && c.Before == overlay.Link {
		to, err := readLink(lower, name)
		return to == c.Link, err
	}
	if c.Type != overlay.File {
		return false, nil
	}
	if c.Content, c.New, err = r.read(upper, name); err != nil {
		return false, err
	}
	if c.Before != overlay.File {
		return false, nil
	}
	if c.Was != c.Size && !r.Content {
		return false, nil
	}
	before, old, err := r.read(lower, name)
	c.Old = old
	return before == c.Content && perm(was.Mode) == c.Mode, err
}

// conflict says that what lies in the project was changed after commands began to change
// their own: when that was, is when the file in the layer was born. Who changes a file on the host can't
// set the time of its last change of state, and who is in the sandbox no time of birth.
func (r *Reading) conflict(was *unix.Stat_t, btime int64) string {
	switch {
	case btime <= r.Since:
		return "comes with a snapshot, which doesn't say what it was made from"
	case was.Ctim.Nano() >= btime:
		return "was changed in the project, too, since commands began to change it"
	}
	return ""
}

// born is when a name of the upper layer was made, in ns after 1970; 0 if nobody knows.
func born(dir *os.File, name string) int64 {
	var st unix.Statx_t
	err := unix.Statx(int(dir.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// opaqueAttr says that a folder of the upper layer hides what lies below it.
const opaqueAttr = "trusted.overlay.opaque"

func opaque(dir *os.File) bool {
	value := make([]byte, 2)
	n, err := unix.Fgetxattr(int(dir.Fd()), opaqueAttr, value)
	return err == nil && string(value[:n]) == "y"
}

func readLink(dir *os.File, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// errMoved is a file that is another kind of thing than it was a moment ago.
var errMoved = fmt.Errorf("it changes while it is read: %w", fs.ErrInvalid)

// typeOf is the type of what has this mode.
func typeOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return overlay.File
	case unix.S_IFDIR:
		return overlay.Folder
	case unix.S_IFLNK:
		return overlay.Link
	}
	return overlay.Other
}

// isWhiteout reports whether an entry of the upper layer says that there is none.
func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// perm are the bits of a mode that are taken over.
func perm(mode uint32) uint32 { return mode & uint32(fs.ModePerm) }
