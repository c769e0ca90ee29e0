//go:build linux

package track

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/pathglob"
	"blast.example/blast/runtime/filesystem/track/fan"
)

// marks are what of a sandbox is watched:
//
//	each mount, for what is executed through it and, where the paths say so, written and read
//	each file system that is the sandbox's alone, for all names in it
//	each folder of the host that the sandbox may write in, for the names in it
//
// The last could be had with one mark on the host's file system, too; but then all that
// anybody on the host does there would be in the same queue, and whoever does much would
// make the sandbox's share of it overflow.
type marks struct {
	track filesystem.Track
	own   map[string]bool // where the tree mounts file systems that are the sandbox's alone

	view  *mountns.View
	files *fan.Group
	names *fan.Group

	mounts  map[uint64]*mount // by ID
	folders map[fan.Handle]folder
	blind   []blindness // of what can't be watched, not told yet
	full    bool        // that there are too many folders is told
}

// A mount is one that is watched.
type mount struct {
	mountns.Row
	fs   [8]byte
	shut bool // it can't be watched
	gone bool // what is open there still has paths as if it were the root
}

// A folder is one that is watched by itself.
type folder struct {
	path  string // when it was seen last
	mount uint64
}

// blindness is a place where not all is seen.
type blindness struct{ path, reason string }

// Bounds of the folders that are watched one by one: each holds some 1.5 KB of the
// kernel's memory.
const (
	maxFolders = 32_768
	maxBatch   = 256 // names of a folder that are read at once
)

// stage is where mounts are put together before they are shown: see package mounts.
const stage = "/.mounts"

// answered are types of file systems in which the kernel answers.
var answered = []string{"proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf"}

func newMarks(t filesystem.Track, tree filesystem.Tree, pid int) (*marks, error) {
	m := &marks{track: t, own: map[string]bool{}, mounts: map[uint64]*mount{}, folders: map[fan.Handle]folder{}}
	for _, o := range tree.Mounts {
		m.own[o.Target] = o.Type == filesystem.Tmpfs || o.Type == filesystem.Layer
	}
	var err error
	if m.view, err = mountns.Look(pid); err == nil {
		if m.files, err = fan.OpenFiles(); err == nil {
			m.names, err = fan.OpenNames()
		}
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *marks) close() {
	if m.view != nil {
		_ = m.view.Close()
	}
	for _, g := range []*fan.Group{m.files, m.names} {
		if g != nil {
			_ = g.Close()
		}
	}
}

// within reports whether p is dir or lies below it. Both are clean.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// concerns reports whether paths that are tracked may lie in a mount.
func (m *marks) concerns(point string) bool {
	return slices.ContainsFunc(m.track.Paths, func(p string) bool {
		base := pathglob.Base(p)
		return within(base, point) || within(point, base)
	})
}

// shut is what nobody can read who sees it through the sandbox's mount, whose ids not all
// owners have: fanotify_mark(2) asks for that.
const shut = "it belongs to another user of the host, and nobody can read it here: what is done with it is not seen"

// wanted reports whether a path is tracked.
func (m *marks) wanted(p string) bool { return pathglob.Any(m.track.Paths, p) }

func (m *marks) mask(point string) uint64 {
	mask := uint64(fan.Executes) // of all: by it processes are known
	if m.concerns(point) {
		mask |= fan.Writes
		if m.track.Level == filesystem.All {
			mask |= fan.Reads
		}
	}
	return mask
}

// look watches what is mounted and not watched yet. What is mounted no more is forgotten
// by sweep.
func (m *marks) look() error {
	table, err := m.view.Table()
	if err != nil {
		return err
	}
	marked, err := m.files.Mounts()
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	for _, r := range table {
		if within(r.Point, stage) || slices.Contains(answered, r.Type) {
			continue
		}
		there[r.ID] = true
		was := m.mounts[r.ID] // or another, whose number is free again: then it isn't marked
		if was != nil && !was.gone && was.Has("ro") == r.Has("ro") && (was.shut || marked[r.ID] != 0) {
			was.Row = r
			continue
		}
		if err := m.add(r); err != nil {
			return err
		}
	}
	for id, w := range m.mounts {
		w.gone = !there[id]
	}
	return nil
}

// sweep forgets mounts of which nothing can be in the queue any more.
func (m *marks) sweep() {
	for id, w := range m.mounts {
		if w.gone {
			delete(m.mounts, id)
		}
	}
}

// attached reports whether a mount is where it was.
func (m *marks) attached(w *mount) bool {
	f, err := m.view.Open(w.Point)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	id, _, err := mountns.ID(f)
	return err == nil && id == w.ID
}

// add watches a mount, unless another lies on it.
func (m *marks) add(r mountns.Row) error {
	f, err := m.view.Open(r.Point)
	if err != nil {
		return nil // covered, or gone
	}
	defer func() { _ = f.Close() }()
	if id, _, err := mountns.ID(f); err != nil || id != r.ID {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("watch %s: %w", r.Point, err)
	}
	m.mounts[r.ID] = &mount{Row: r, fs: fan.FSOf(st)}
	err = m.files.MarkMount(f, m.mask(r.Point))
	if errors.Is(err, unix.EACCES) {
		m.mounts[r.ID].shut = true
		m.cover(r.ID, shut)
		return nil
	}
	if err != nil {
		return err
	}
	if !m.concerns(r.Point) || r.Has("ro") {
		return nil
	}
	if m.own[r.Point] && (r.Type == "tmpfs" || r.Type == "ext4") {
		return m.names.MarkAllNames(f)
	}
	return m.walk(f, r.Point, r.ID, nil)
}

// cannot are the answers of file systems that can't name what they have; see the ERRORS of
// fanotify_mark(2).
var cannot = []error{unix.EOPNOTSUPP, unix.ENODEV, unix.EXDEV}

// walk watches a folder with all folders below it, on the same mount. found hears of each
// name that is there; a nil one does not. A folder is watched before it is read: what
// comes meanwhile is heard of twice rather than never.
func (m *marks) walk(root *os.File, at string, id uint64, found func(name string, dir bool)) error {
	todo := []string{"."}
	for len(todo) > 0 {
		rel := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		f, err := mountns.OpenAt(root, rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
		if err != nil {
			switch {
			case errors.Is(err, unix.EACCES):
				m.cover(id, "there are folders of other users of the host: what is created, deleted and renamed in them is not seen")
			case errors.Is(err, unix.ENAMETOOLONG):
				m.cover(id, "there are folders that lie too deep: what is created, deleted and renamed in them is not seen")
			}
			continue // a file, or gone, or another mount
		}
		err = m.folder(f, path.Join(at, rel), id)
		if err == nil {
			todo, err = m.list(f, rel, todo, found)
		}
		_ = f.Close()
		switch {
		case errors.Is(err, errFull):
			return nil
		case slices.ContainsFunc(cannot, func(no error) bool { return errors.Is(err, no) }):
			m.cover(id, "the file system can't say what is created, deleted and renamed in it")
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

var errFull = errors.New("too many folders")

// folder watches one.
func (m *marks) folder(f *os.File, at string, id uint64) error {
	h, err := fan.HandleOf(f)
	if err != nil {
		return err
	}
	if _, known := m.folders[h]; !known && len(m.folders) >= maxFolders {
		if !m.full {
			m.full = true
			m.cover(id, fmt.Sprintf("there are more than %d folders, and what is created, deleted and renamed in the others is not seen", maxFolders))
		}
		return errFull
	}
	if err := m.names.MarkNames(f); err != nil {
		return err
	}
	m.folders[h] = folder{at, id}
	return nil
}

// list adds the folders in f to those that are to be walked.
func (m *marks) list(f *os.File, rel string, todo []string, found func(string, bool)) ([]string, error) {
	for {
		es, err := f.ReadDir(maxBatch)
		for _, e := range es {
			name := path.Join(rel, e.Name())
			if found != nil {
				found(name, e.IsDir())
			}
			if e.IsDir() {
				todo = append(todo, name)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ENOENT) {
			return todo, nil
		}
		if err != nil {
			return todo, err
		}
	}
}

// cover notes that not all is seen of a mount.
func (m *marks) cover(id uint64, reason string) {
	m.blind = append(m.blind, blindness{m.mounts[id].Point, reason})
}

// unwatched are the places that should be watched and are not, as the kernel says.
func (m *marks) unwatched() ([]string, error) {
	table, err := m.view.Table()
	if err != nil {
		return nil, err
	}
	marked, err := m.files.Mounts()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, r := range table {
		known := m.mounts[r.ID]
		if within(r.Point, stage) || slices.Contains(answered, r.Type) || !m.concerns(r.Point) || known != nil && known.shut || marked[r.ID]&m.mask(r.Point) == m.mask(r.Point) {
			continue
		}
		if f, err := m.view.Open(r.Point); err == nil {
			if id, _, err := mountns.ID(f); err == nil && id == r.ID {
				all = append(all, r.Point)
			}
			_ = f.Close()
		}
	}
	return all, nil
}
