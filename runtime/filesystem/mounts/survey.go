//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/track/fan"
	"blast.example/blast/state"
)

// Bounds of what patterns are looked for in, and of what they may find. Each find is a
// mount, and each look at the mounts of a sandbox takes some 10 us for one.
const (
	maxEntries = 1_000_000
	maxFinds   = 2_000
)

// A find is a path of the workspace that a pattern matches, and that is there.
type find struct {
	filesystem.Pattern        // the first that matches; one that hides before any other
	rel                string // from the source of the workspace
	folder             bool

	wanted bool       // the guard knows of it
	masked fan.Handle // what was masked there, zero while nothing is known to be
}

// A survey is what the patterns of a tree match in the workspace. Nothing in it is found
// by a path that somebody could lead elsewhere: folders are opened from the root of a mount of
// their own, which has nothing of what the host has mounted below.
type survey struct {
	patterns []filesystem.Pattern
	source   string          // of the workspace
	hidden   map[string]bool // paths that are hidden anyway
	root     *os.File        // nil if there is nothing to look at
	finds    map[string]find
	links    int // symbolic links that match
	entries  int

	// watch is called with each folder before it is read.
	watch func(dir *os.File) error
}

// newSurvey has found nothing yet.
func newSurvey(env state.Env, t filesystem.Tree) (*survey, error) {
	s := &survey{patterns: t.Patterns, finds: map[string]find{}, hidden: map[string]bool{}}
	if len(t.Patterns) == 0 {
		return s, nil
	}
	m, ok := s.place(t.In(env.Project))
	if !ok {
		return s, nil
	}
	src, err := openSource(env, m)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	s.root, err = ownMount(src)
	return s, err
}

// place notes where the workspace lies, and what of it is hidden anyway.
func (s *survey) place(mounts []filesystem.Mount) (space filesystem.Mount, ok bool) {
	for _, m := range mounts {
		switch {
		case m.Target == filesystem.WorkspaceDir && m.Type == filesystem.Bind:
			space, ok, s.source = m, true, m.Source
		case m.Type == filesystem.Hide:
			if rel, in := strings.CutPrefix(m.Target, filesystem.WorkspaceDir+"/"); in {
				s.hidden[rel] = true
			}
		}
	}
	return space, ok
}

// ownMount opens a folder to be read on a mount of its own; nil if it is none.
func ownMount(src *os.File) (*os.File, error) {
	m, err := mountns.Clone(src, mountns.Attr{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }()
	f, err := mountns.OpenAt(m, ".", unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	return f, err
}

func (s *survey) close() {
	if s != nil && s.root != nil {
		_ = s.root.Close()
	}
}

// all are the finds in the order of their paths.
func (s *survey) all() []find {
	return slices.SortedFunc(maps.Values(s.finds), func(a, b find) int { return strings.Compare(a.rel, b.rel) })
}

// A tooMuchError is more than patterns may be about.
type tooMuchError struct {
	name     string // key into the tree's Src
	why, fix string
}

func (e *tooMuchError) Error() string { return e.why + ": " + e.fix }

// walk looks at a folder and all folders below it in which a pattern may match.
func (s *survey) walk(ctx context.Context, rel string) error {
	if s.root == nil {
		return nil
	}
	todo := []string{rel}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		f, err := mountns.OpenAt(s.root, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
		if slices.ContainsFunc(elsewhere, func(no error) bool { return errors.Is(err, no) }) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for what patterns match: %w", err)
		}
		todo, err = s.read(f, dir, todo)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// elsewhere are the answers where a folder is gone, or is none any more: whoever put
// something in its place is told of by an event.
var elsewhere = []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EXDEV}

// read looks at the names in one folder, and adds those of folders to todo.
func (s *survey) read(f *os.File, dir string, todo []string) ([]string, error) {
	if s.watch != nil {
		if err := s.watch(f); err != nil {
			return nil, err
		}
	}
	err := readEntries(f, func(e entry) error {
		if s.entries++; s.entries > maxEntries {
			return &tooMuchError{s.patterns[0].Name, fmt.Sprintf("there are more than %d files and folders where patterns have to look", maxEntries),
				"begin patterns with the folder that they are about, such as \"config/**/*.key\""}
		}
		rel := path.Join(dir, e.name)
		goOn, err := s.look(rel, e.typ)
		if goOn {
			todo = append(todo, rel)
		}
		return err
	})
	return todo, err
}

// look compares one path with the patterns, and reports whether something below it may match.
func (s *survey) look(rel string, typ uint8) (below bool, err error) {
	if s.hidden[rel] {
		return false, nil
	}
	folder := typ == unix.DT_DIR
	p, ok := s.matching(rel, folder)
	switch {
	case ok && typ == unix.DT_LNK:
		s.links++
	case ok:
		if s.finds[rel] = (find{Pattern: p, rel: rel, folder: folder}); len(s.finds) > maxFinds {
			return false, &tooMuchError{p.Name, fmt.Sprintf("patterns match more than %d paths, and each takes a mount", maxFinds), fmt.Sprintf("name the folders that they lie in, instead of %q", p.Text())}
		}
	}
	return folder && (!ok || p.Type != filesystem.Hide) && slices.ContainsFunc(s.patterns, func(p filesystem.Pattern) bool { return p.Below(rel) }), nil
}

func (s *survey) matching(rel string, folder bool) (filesystem.Pattern, bool) {
	var best filesystem.Pattern
	for _, p := range s.patterns {
		if p.Match(rel, folder) && (best.Type == "" || p.Type == filesystem.Hide && best.Type != filesystem.Hide) {
			best = p
		}
	}
	return best, best.Type != ""
}

// verify forgets what is gone, or is something else by now.
func (s *survey) verify() error {
	for rel, was := range s.finds {
		st, ok, err := s.stat(rel)
		if err != nil {
			return err
		}
		typ := uint8(st.Mode & unix.S_IFMT >> 12)
		if ok && typ != unix.DT_LNK && (typ == unix.DT_DIR) == was.folder {
			continue
		}
		delete(s.finds, rel)
		if !ok {
			continue
		}
		if _, err := s.look(rel, typ); err != nil {
			return err
		}
	}
	return nil
}

// stat looks at one path.
func (s *survey) stat(rel string) (st unix.Stat_t, ok bool, err error) {
	f, err := mountns.OpenAt(s.root, rel, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if slices.ContainsFunc(elsewhere, func(no error) bool { return errors.Is(err, no) }) {
		return st, false, nil
	}
	if err != nil {
		return st, false, fmt.Errorf("look for what patterns match: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err = mountns.Stat(f)
	return st, err == nil, err
}

// surveyed looks once at all that the patterns of a tree match now.
func surveyed(ctx context.Context, env state.Env, t filesystem.Tree) (*survey, error) {
	s, err := newSurvey(env, t)
	if err != nil {
		return nil, err
	}
	if err := s.walk(ctx, "."); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
