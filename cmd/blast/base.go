package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/cmd/internal/revision"
	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
)

// since compares what blast.hcl says with what it said in another revision. It needs
// neither the host nor root: what a package range comes to is left open on both sides.
func (u *ui) since(ctx context.Context, g *Globals, rev string) (plan.Plan, error) {
	p, err := u.open(g)
	if err != nil {
		return plan.Plan{}, err
	}
	was, err := u.at(ctx, g, p, rev)
	if err != nil {
		return plan.Plan{}, err
	}
	now := linked(p.conf.Objects)
	out := plan.Diff(now, was, words.Order(was), words.Describe)
	out.Env, out.Of, out.Basis = p.env.Name, rev, p.file.Basis
	return out, nil
}

// at returns the objects of the environment in another revision: none if it, or
// blast.hcl, was not there.
func (u *ui) at(ctx context.Context, g *Globals, p *project, rev string) ([]plan.Object, error) {
	dir, remove, err := revision.Extract(ctx, p.env.Project, rev)
	if err != nil {
		return nil, err
	}
	defer remove()
	path := filepath.Join(dir, config.FileName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	f, diags := config.Load(path, config.Options{
		Vars: g.Vars, VarFiles: g.VarFiles, Environ: os.Environ(),
		Words: words.ForConfig(), Version: release.Version, UID: p.env.UID, GID: p.env.GID,
	})
	if diags.HasErrors() {
		u.say("blast: %s can't be read as it is in %s:", config.FileName, rev)
		return nil, &configError{diags, f.Sources}
	}
	for _, e := range f.Environments {
		if e.Name == p.conf.Name {
			return inPlace(linked(e.Objects), dir, p.env.Project)
		}
	}
	return nil, nil
}

// linked completes objects as a plan of the host would, but for what that settles.
func linked(objs []plan.Object) []plan.Object {
	for _, w := range words.All {
		if l, ok := w.(kinds.Linker); ok {
			objs = l.Link(kinds.LinkInput{Objects: objs})
		}
	}
	return words.Order(objs)
}

// inPlace lets objects that were read in one folder be of another.
func inPlace(objs []plan.Object, from, to string) ([]plan.Object, error) {
	b, err := json.Marshal(objs)
	if err != nil {
		return nil, fmt.Errorf("compare revisions: %w", err)
	}
	old, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	fresh, err := json.Marshal(to)
	if err != nil {
		return nil, err
	}
	trim := func(s []byte) []byte { return []byte(strings.Trim(string(s), `"`)) }
	var out []plan.Object
	err = json.Unmarshal(bytes.ReplaceAll(b, trim(old), trim(fresh)), &out)
	return out, err
}
