package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/state"
)

// A layerView is what commands wrote over the workspace, as far as somebody asked for it.
type layerView struct {
	c       *client.Client
	env     state.Env
	by      wire.Caller
	over    bool     // the workspace is an overlay now
	paths   []string // what was asked for, relative to the workspace
	changes []overlay.Change
}

// layerOf asks for the changes at paths of the host. No path is all.
func (u *ui) layerOf(ctx context.Context, g *Globals, by wire.Caller, paths []string, content bool) (*layerView, error) {
	c, env, err := u.running(g)
	if err != nil {
		return nil, err
	}
	v := &layerView{c: c, env: env, by: by}
	var look wire.LookResult
	if err := c.Call(ctx, wire.Look, wire.LookParams{Env: env, Records: true, Caller: by}, &look, u.event); err != nil {
		return nil, err
	}
	space, err := workspaceOf(env, look.Recorded)
	if err != nil {
		return nil, err
	}
	v.over = space.Access == filesystem.Overlay
	for _, p := range paths {
		rel, err := inWorkspace(space.Source, p)
		if err != nil {
			return nil, u.misused("%v", err)
		}
		v.paths = append(v.paths, rel)
	}
	var res wire.ChangesResult
	if err := c.Call(ctx, wire.Changes, wire.ChangesParams{Env: env, Paths: v.paths, Content: content, Caller: by}, &res, u.event); err != nil {
		return nil, err
	}
	u.untick()
	v.changes = res.Changes
	for _, p := range res.None {
		u.say("Nothing differs at %s.", quoted(p))
	}
	return v, nil
}

func workspaceOf(env state.Env, recorded []plan.Object) (filesystem.Mount, error) {
	for _, o := range recorded {
		var t filesystem.Tree
		if o.Addr != filesystem.TreeAddr {
			continue
		}
		if err := o.Decode(&t); err != nil {
			return filesystem.Mount{}, err
		}
		for _, m := range t.In(env.Project) {
			if m.Target == filesystem.WorkspaceDir && m.Type == filesystem.Bind {
				return m, nil
			}
		}
	}
	return filesystem.Mount{}, fmt.Errorf("environment %s has no workspace on record: there is no layer over one", env.Name)
}

// inWorkspace is a path as it is written from the working folder, relative to the workspace.
func inWorkspace(source, p string) (string, error) {
	abs := p
	if !filepath.IsAbs(p) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		if real, err := filepath.EvalSymlinks(wd); err == nil {
			wd = real
		}
		abs = filepath.Join(wd, p)
	}
	rel, err := filepath.Rel(source, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s lies outside of the workspace, which is %s", quoted(p), source)
	}
	return rel, nil
}

// quoted is a path that somebody in a sandbox may have chosen: with anything in it that is not
// plain to see, it is written as a string of Go's.
func quoted(p string) string {
	plain := func(r rune) bool { return unicode.IsPrint(r) && r != '"' && r != '\\' && r != unicode.ReplacementChar }
	if p == "" || strings.TrimSpace(p) != p || strings.ContainsFunc(p, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(p)
	}
	return p
}

// maxListed is how many changes are listed if nobody wants more.
const maxListed = 500

// list is the changes for a person.
func list(cs []overlay.Change, limit int) string {
	var b strings.Builder
	width := 0
	for _, c := range cs[:min(len(cs), limit)] {
		width = max(width, min(len(quoted(c.Path)), widePath))
	}
	for _, c := range cs[:min(len(cs), limit)] {
		b.WriteString(strings.TrimRight(changeRow(c, width), " ") + "\n")
	}
	if n := len(cs) - limit; n > 0 {
		fmt.Fprintf(&b, "... and %d more: name paths, or add --json\n", n)
	}
	return b.String()
}

func changeRow(c overlay.Change, width int) string {
	name := quoted(c.Path)
	if c.Type == overlay.Folder {
		name += "/"
	}
	if c.Type == overlay.Link && c.Kind != overlay.Deleted {
		name += " -> " + quoted(c.Link)
	}
	notes := slices.Clone(c.Marks)
	for _, n := range []string{c.Refused, c.Conflict, c.Doubtful} {
		if n != "" {
			notes = append(notes, "! "+n)
		}
	}
	return fmt.Sprintf("%s %-*s  %s  %s", c.Kind, width, name, sizes(c), strings.Join(notes, ", "))
}

func sizes(c overlay.Change) string {
	size := func(n int64) string { return block.FormatSize(roundSize(n)) }
	switch {
	case c.Before == overlay.File && c.Kind == overlay.Deleted:
		return size(c.Was)
	case c.Before == overlay.File && c.Type == overlay.File:
		return size(c.Was) + " -> " + size(c.Size)
	case c.Type == overlay.File:
		return size(c.Size)
	case c.Kind == overlay.Retyped:
		return c.Before + " -> " + c.Type
	}
	return ""
}

// count is "3 changes: 1 added, 2 modified".
func count(cs []overlay.Change) string {
	n := map[string]int{}
	for _, c := range cs {
		n[c.Kind]++
	}
	var parts []string
	for _, k := range []struct{ kind, word string }{{overlay.Added, "added"}, {overlay.Modified, "modified"}, {overlay.Retyped, "of another type"}, {overlay.Deleted, "deleted"}} {
		if n[k.kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[k.kind], k.word))
		}
	}
	noun := "changes"
	if len(cs) == 1 {
		noun = "change"
	}
	return fmt.Sprintf("%d %s: %s", len(cs), noun, strings.Join(parts, ", "))
}
