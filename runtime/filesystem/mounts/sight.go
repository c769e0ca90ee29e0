//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// A fault says how a want is not fulfilled.
type fault int

const (
	none    fault = iota
	missing       // nothing is mounted there
	loose         // the right thing, with other options or another size: can be set
	other         // something else is mounted there
)

// A sight is what is mounted in a sandbox, beside what is wanted.
type sight struct {
	rows   []mountns.Row // all but the sandbox's base and what is on the stage
	of     []int         // by want: its row, -1 if there is none
	faults []fault       // by want
	says   []string      // by want: the fault in words
	extras []int         // rows that nobody wants
}

// fine reports whether all is as it is wanted.
func (s *sight) fine() bool {
	return len(s.extras) == 0 && !slices.ContainsFunc(s.faults, func(f fault) bool { return f != none })
}

// drift is the sight in sentences.
func (s *sight) drift() []string {
	var all []string
	for _, t := range s.says {
		if t != "" {
			all = append(all, t)
		}
	}
	for _, i := range s.extras {
		all = append(all, "something else is mounted at "+s.rows[i].Point)
	}
	return all
}

// look compares the kernel's mount table with what is wanted.
func (b *box) look() (*sight, error) {
	table, err := b.view.Table()
	if err != nil {
		return nil, err
	}
	s := &sight{of: make([]int, len(b.tree)), faults: make([]fault, len(b.tree)), says: make([]string, len(b.tree))}
	base := baseRows(table)
	for _, r := range table {
		if !base[r.ID] && !within(r.Point, stageDir) {
			s.rows = append(s.rows, r)
		}
	}
	used := make([]bool, len(s.rows))
	at := map[string][]int{}
	for j, r := range s.rows {
		at[r.Point] = append(at[r.Point], j)
	}
	for i := range b.tree {
		if err := b.find(s, i, at[b.tree[i].Target], used, base); err != nil {
			return nil, err
		}
	}
	for i := range s.rows {
		if !used[i] {
			s.extras = append(s.extras, i)
		}
	}
	return s, nil
}

// baseRows are the mounts of the sandbox as it was made: what libcontainer
// mounts lies where no tree can reach, but for /tmp, and on that ours is mounted.
func baseRows(table []mountns.Row) map[uint64]bool {
	base := map[uint64]bool{}
	top := slices.IndexFunc(table, func(r mountns.Row) bool { return r.Point == "/" })
	for i, r := range table {
		switch r.Point {
		case "/":
			base[r.ID] = i == top
		case "/tmp":
			base[r.ID] = top >= 0 && r.Parent == table[top].ID
		default:
			base[r.ID] = isBase(r.Point) && !within(r.Point, stageDir)
		}
	}
	return base
}

// find looks for the row of want i. Of several at one place the one that is as
// wanted is taken, and the others are extras.
func (b *box) find(s *sight, i int, there []int, used []bool, base map[uint64]bool) error {
	w := b.tree[i]
	s.of[i], s.faults[i], s.says[i] = -1, missing, w.gone()
	if w.lost {
		s.faults[i], s.says[i] = none, ""
	}
	for _, j := range there {
		r := s.rows[j]
		if used[j] || !b.mountedOn(s, w, r, base) {
			continue
		}
		f, says, err := b.compare(s, w, r)
		if err != nil {
			return err
		}
		if s.of[i] < 0 || f < s.faults[i] {
			s.of[i], s.faults[i], s.says[i] = j, f, says
		}
	}
	if j := s.of[i]; j >= 0 {
		used[j] = true
	}
	return nil
}

// mountedOn reports whether a row lies on the mount that w must lie on. One that
// lies on something else is not seen at its place.
func (b *box) mountedOn(s *sight, w want, r mountns.Row, base map[uint64]bool) bool {
	if w.parent < 0 {
		return base[r.Parent]
	}
	p := s.of[w.parent]
	return p >= 0 && s.rows[p].ID == r.Parent
}

// compare says how a row at w's place differs from what is wanted there.
func (b *box) compare(s *sight, w want, r mountns.Row) (fault, string, error) {
	same, err := b.same(s, w, r)
	if err != nil || !same {
		return other, w.Target + " is not what was mounted there", err
	}
	want, err := b.options(w)
	if err != nil {
		return other, "", err
	}
	if have := optionsOf(r); have != want {
		if (have^want)&unix.MOUNT_ATTR_IDMAP != 0 {
			return other, w.Target + " shows other owners", nil
		}
		return loose, fmt.Sprintf("%s is mounted %s", w.Target, r.Options), nil
	}
	if w.Type == filesystem.Tmpfs {
		if ok, err := b.sized(w, r); err != nil || !ok {
			return loose, w.Target + " has another size", err
		}
	}
	return none, "", nil
}

func (w want) gone() string {
	switch w.Type {
	case filesystem.Hide:
		return w.Target + " is not hidden"
	case filesystem.ReadOnly:
		return w.Target + " is not read-only"
	case pin:
		return w.Target + " can be renamed, and it holds what is protected"
	}
	return w.Target + " is not mounted"
}

// same reports whether a row shows the file or folder that w wants there.
func (b *box) same(s *sight, w want, r mountns.Row) (bool, error) {
	switch w.Type {
	case pin, filesystem.ReadOnly:
		// Both paths are the kernel's, of this very moment: equal paths on one
		// file system are the same folder, whoever renames it.
		on := s.rows[s.of[w.parent]]
		return on.Device == r.Device && r.Root == path.Join(on.Root, strings.TrimPrefix(w.Target, b.tree[w.parent].Target)), nil
	case filesystem.Layer:
		dev, kind, err := b.shownLayer()
		return dev == r.Device && r.Root == "/"+w.Name && r.Type == kind, err
	case filesystem.Tmpfs:
		return r.Type == "tmpfs" && r.Root == "/", nil
	}
	got, err := b.rootOf(r)
	if err != nil {
		return false, err
	}
	if w.Type == filesystem.Hide {
		return got.Dev != 0 && slices.ContainsFunc(b.masks(), func(m unix.Stat_t) bool { return sameFile(m, got) }), nil
	}
	if w.overlay() {
		return b.sameOverlay(w, r)
	}
	src, err := openSource(b.env, w.Mount)
	if err != nil {
		return false, nil // a source that is gone or may not be shown is not what is mounted
	}
	defer func() { _ = src.Close() }()
	st, err := mountns.Stat(src)
	return got.Dev != 0 && sameFile(st, got), err
}

// shownLayer is the device and type of the tree's layer as mountinfo shows it; "" if it
// is not there.
func (b *box) shownLayer() (device, kind string, err error) {
	from, err := backingOf(b.env)
	if err != nil {
		return "", "", err
	}
	s, err := slotOf(from, b.layerID)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	return from.shown(s)
}

// rootOf reads which file a mount has as its root; nothing if the mount can't be
// reached by its path, as another lies on it.
func (b *box) rootOf(r mountns.Row) (unix.Stat_t, error) {
	f, err := b.at(r)
	if err != nil || f == nil {
		return unix.Stat_t{}, err
	}
	defer func() { _ = f.Close() }()
	return mountns.Stat(f)
}

// at opens the root of a mount, or returns nil if another lies on it.
func (b *box) at(r mountns.Row) (*os.File, error) {
	f, err := b.view.Open(r.Point)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, _, err := mountns.ID(f)
	if err != nil || id != r.ID {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func sameFile(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
