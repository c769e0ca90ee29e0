package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/process/session"
	"blast.example/blast/state"
)

// project is a blast.hcl that was read, and the one environment of it that this
// command acts on.
type project struct {
	file *config.File
	env  state.Env
	conf config.Environment
}

// read reads blast.hcl and returns what is wrong with it beside it.
func (u *ui) read(g *Globals) (*config.File, hcl.Diagnostics, error) { return u.readAs(g, nil) }

// readAs is read as if blast.hcl held a text; nil is what it holds.
func (u *ui) readAs(g *Globals, text []byte) (*config.File, hcl.Diagnostics, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	path, err := config.Find(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.New("no blast.hcl here or in a folder above; `blast init` writes one")
	}
	if err != nil {
		return nil, nil, err
	}
	u.where = repository(filepath.Dir(path), os.Getenv)
	uid, gid := session.Person()
	f, diags := config.Load(path, config.Options{
		Vars: g.Vars, VarFiles: g.VarFiles, Environ: os.Environ(),
		Words: words.ForConfig(), Version: release.Version, UID: uid, GID: gid, Text: text,
	})
	return f, diags, nil
}

// load reads blast.hcl. Warnings are shown, errors returned.
func (u *ui) load(g *Globals) (*config.File, error) {
	f, diags, err := u.read(g)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		var files map[string]*hcl.File
		if f != nil {
			files = f.Sources
		}
		return nil, &configError{diags, files}
	}
	u.diagnostics(f.Sources, diags)
	return f, nil
}

// open reads blast.hcl and picks the environment.
func (u *ui) open(g *Globals) (*project, error) {
	f, err := u.load(g)
	if err != nil {
		return nil, err
	}
	if err := state.CheckProject(f.Project); err != nil {
		return nil, err
	}
	conf, err := pick(f, g.Env)
	if err != nil {
		return nil, err
	}
	uid, gid := session.Person()
	if err := ownRules(f, uid, gid); err != nil {
		return nil, err
	}
	env, err := state.Open(f.Project, conf.Name, uid, gid)
	if err != nil {
		return nil, err
	}
	return &project{file: f, conf: conf, env: env}, nil
}

func pick(f *config.File, name string) (config.Environment, error) {
	names := make([]string, 0, len(f.Environments))
	for _, e := range f.Environments {
		if e.Name == name || name == "" && len(f.Environments) == 1 {
			return e, nil
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return config.Environment{}, fmt.Errorf("%s describes no environment", f.Path)
	case name == "":
		return config.Environment{}, fmt.Errorf("blast.hcl has several environments (%s): choose one with --env", strings.Join(names, ", "))
	}
	return config.Environment{}, fmt.Errorf("no environment %q in blast.hcl; there are: %s", name, strings.Join(names, ", "))
}

// locate finds the environment without reading all of blast.hcl, for verbs that
// must work while it is broken: run, shell, status, destroy.
func (u *ui) locate(g *Globals) (state.Env, error) { return session.Locate(g.Env) }

// settle resolves and links the objects of the configuration.
func (u *ui) settle(ctx context.Context, p *project, in kinds.ResolveInput, replace []string) ([]plan.Object, error) {
	objs := p.conf.Objects
	in.Env, in.Project, in.Progress = p.env, p.env.Project, u.tick
	for _, w := range words.All {
		if r, ok := w.(kinds.Resolver); ok {
			in.Objects = objs
			var diags hcl.Diagnostics
			if objs, diags = r.Resolve(ctx, in); diags.HasErrors() {
				return nil, &configError{diags, p.file.Sources}
			}
			u.diagnostics(p.file.Sources, diags)
		}
	}
	for _, w := range words.All {
		if l, ok := w.(kinds.Linker); ok {
			objs = l.Link(kinds.LinkInput{Objects: objs, Recorded: in.Recorded, Replace: replace})
		}
	}
	if diags := append(unguarded(p.file, objs), slices.Concat(exposed(p.file, objs, p.env.Project), readable(p.file, objs, p.env))...); diags.HasErrors() {
		return nil, &configError{diags, p.file.Sources}
	}
	return words.Order(objs), nil
}

// unguarded finds files that decide what blast.hcl means, and that code in the sandbox
// could make or change.
func unguarded(f *config.File, objs []plan.Object) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, o := range objs {
		var t filesystem.Tree
		if o.Addr != filesystem.TreeAddr || o.Decode(&t) != nil {
			continue
		}
		for _, file := range f.Read {
			if !t.Writable(file) {
				continue
			}
			name, err := filepath.Rel(f.Project, file)
			if err != nil {
				name = file
			}
			at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
			diags = append(diags, block.Errorf(at, "Settings that the sandbox can write",
				"What %s says, or that it is there, decides what blast.hcl means, and code in the sandbox can write there: it could widen its own rules. If you wrote it, add it to read_only of the workspace block; else remove it.", name))
		}
	}
	return diags
}

// sources are what diagnostics point into.
func (m *planning) sources() map[string]*hcl.File {
	if m.p == nil {
		return nil
	}
	return m.p.file.Sources
}

// problems turns what the host can't enforce into diagnostics at the line that
// asks for it.
func problems(ps []kinds.Problem, objs []plan.Object) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, p := range ps {
		d := &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "This host can't enforce the line",
			Detail:   fmt.Sprintf("%s: %s. %s", p.Item, p.Reason, p.Fix),
		}
		for _, o := range objs {
			if o.Addr == p.Addr {
				d.Subject = block.RangeOf(plan.PlaceOf(o.Src, p.Item))
			}
		}
		diags = append(diags, d)
	}
	return diags
}
