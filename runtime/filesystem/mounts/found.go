//go:build linux

package mounts

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// wantedNow lists all mounts that a tree takes with what its patterns match now.
func wantedNow(ctx context.Context, env state.Env, t filesystem.Tree) ([]want, error) {
	s, err := surveyed(ctx, env, t)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.wants(t.In(env.Project))
}

// wants lists all mounts that a tree takes with what was found.
func (s *survey) wants(mounts []filesystem.Mount) ([]want, error) {
	if len(s.finds) == 0 {
		return expand(mounts)
	}
	var shown, protections []filesystem.Mount
	for _, m := range mounts {
		if m.Type == filesystem.Hide || m.Type == filesystem.ReadOnly {
			protections = append(protections, m)
		} else {
			shown = append(shown, m)
		}
	}
	found := map[string]bool{}
	for _, b := range shown {
		for _, m := range s.in(b, shown) {
			found[m.Target] = true
			protections = append(protections, m)
		}
	}
	for _, m := range mounts {
		delete(found, m.Target) // a line names it: it is protected while it is absent, too
	}
	ws, err := expand(append(shown, merged(protections)...))
	markFound(ws, found)
	return ws, err
}

// in are the finds that a mount shows, as mounts on it.
func (s *survey) in(b filesystem.Mount, shown []filesystem.Mount) []filesystem.Mount {
	if b.Type != filesystem.Bind || !within(s.source, b.Source) && !within(b.Source, s.source) {
		return nil
	}
	var out []filesystem.Mount
	for _, f := range s.all() {
		file := path.Join(s.source, f.rel)
		if file == b.Source || !within(file, b.Source) {
			continue
		}
		target := path.Join(b.Target, strings.TrimPrefix(file, b.Source))
		covered := func(o filesystem.Mount) bool {
			return o.Target != b.Target && within(o.Target, b.Target) && within(target, o.Target)
		}
		if !slices.ContainsFunc(shown, covered) {
			out = append(out, filesystem.Mount{Name: f.Name, Target: target, Type: f.Type, Dir: f.folder})
		}
	}
	return out
}

// merged sorts protections, a parent before what lies below it, with one at each place,
// and without those that lie in one that says as much.
func merged(ms []filesystem.Mount) []filesystem.Mount {
	slices.SortStableFunc(ms, func(a, b filesystem.Mount) int { return strings.Compare(a.Target+"/", b.Target+"/") })
	var out []filesystem.Mount
	at := map[string]int{}
	for _, m := range ms {
		if i, there := at[m.Target]; there {
			if m.Type == filesystem.Hide { // it says more
				out[i].Type, out[i].Content = m.Type, ""
			}
			continue
		}
		if !said(out, at, m) {
			at[m.Target] = len(out)
			out = append(out, m)
		}
	}
	return out
}

// said reports whether a protection above m says as much.
func said(out []filesystem.Mount, at map[string]int, m filesystem.Mount) bool {
	for d := path.Dir(m.Target); d != "/"; d = path.Dir(d) {
		if i, there := at[d]; there && (out[i].Type == filesystem.Hide || out[i].Type == m.Type) {
			return true
		}
	}
	return false
}

// markFound notes which wants are there only for what was found: nothing is made for them
// to be mounted on.
func markFound(ws []want, found map[string]bool) {
	named := map[string]bool{}
	for _, w := range ws {
		if w.Type != pin && !found[w.Target] {
			for d := path.Dir(w.Target); d != "/"; d = path.Dir(d) {
				named[d] = true
			}
		}
	}
	for i, w := range ws {
		ws[i].found = w.Type == pin && !named[w.Target] || found[w.Target]
	}
}

// checkPatterns says what the patterns of a tree match now, and why they can't be for so much.
func checkPatterns(ctx context.Context, env state.Env, t filesystem.Tree) ([]kinds.Problem, error) {
	s, err := newSurvey(env, t)
	if err != nil {
		return nil, nil // told for the workspace itself
	}
	defer s.close()
	var much *tooMuchError
	if err := s.walk(ctx, "."); errors.As(err, &much) {
		return []kinds.Problem{*problem(much.name, capital(much.fix)+".", "%s", much.why)}, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := s.wants(t.In(env.Project)); err != nil {
		return []kinds.Problem{*problem(t.Patterns[0].Name, "Name other paths.", "%v", err)}, nil
	}
	return s.notes()
}

// maxNamed is how many finds a note names.
const maxNamed = 3

// notes tell what the patterns match now.
func (s *survey) notes() ([]kinds.Problem, error) {
	var ps []kinds.Problem
	for _, p := range s.patterns {
		var names []string
		for _, f := range s.all() {
			if f.Name == p.Name && f.Glob == p.Glob && f.Dir == p.Dir {
				names = append(names, f.rel)
			}
		}
		switch len(names) {
		case 0:
			ps = append(ps, *note(p.Name, "%s matches nothing yet", p.Text()))
		default:
			ps = append(ps, *note(p.Name, "%s matches %d now: %s", p.Text(), len(names), wording.List(names, maxNamed)))
		}
	}
	if s.links > 0 {
		ps = append(ps, *note(s.patterns[0].Name, "%d symbolic links match a pattern and stay as they are: what one leads to is protected if it matches, too", s.links))
	}
	more, err := s.otherNames()
	return append(ps, more...), err
}

// otherNames tells of finds that have names of which the patterns don't match each.
func (s *survey) otherNames() ([]kinds.Problem, error) {
	type file struct{ dev, ino uint64 }
	names, first, stats := map[file]uint64{}, map[file]find{}, map[file]uint64{}
	for _, f := range s.all() {
		st, ok, err := s.stat(f.rel)
		if err != nil {
			return nil, err
		}
		if !ok || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		id := file{st.Dev, st.Ino}
		if names[id]++; names[id] == 1 {
			first[id] = f
		}
		stats[id] = st.Nlink
	}
	var ps []kinds.Problem
	for id, f := range first {
		if stats[id] > names[id] {
			ps = append(ps, *otherNames(filesystem.Mount{Name: f.Name, Type: f.Type}, f.rel, stats[id]-names[id]))
		}
	}
	slices.SortFunc(ps, func(a, b kinds.Problem) int { return strings.Compare(a.Reason, b.Reason) })
	return ps[:min(len(ps), maxNamed)], nil
}
