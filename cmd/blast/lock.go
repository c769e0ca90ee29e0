package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/resolve"
)

// lockCmd is what uv lock is: an apply writes the lock file, too, and this needs no root.
type lockCmd struct {
	Upgrade  bool     `help:"Take the newest packages that fit, not those of the lock."`
	Upgrades []string `name:"upgrade-package" short:"P" sep:"none" placeholder:"NAME" help:"Take the newest of this package, and those of the lock of all others where they fit. May be repeated."`
	Check    bool     `help:"Write nothing; exit with 2 if the lock file would change."`
	DryRun   bool     `help:"Show what would change, and write nothing."`
	JSON     bool     `name:"json" help:"Print the result as JSON."`
}

// lockAnswer is what --json prints.
type lockAnswer struct {
	Environment string          `json:"environment"`
	File        string          `json:"file"`
	Packages    int             `json:"packages"`
	UpToDate    bool            `json:"up_to_date"`
	Written     bool            `json:"written"`
	Changes     []pylock.Change `json:"changes"`
}

// Run chooses versions and writes them down.
func (cmd *lockCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	p, err := u.open(g)
	if err != nil {
		return err
	}
	set, err := cmd.resolve(ctx, u, p)
	if err != nil {
		return err
	}
	a, old, err := cmd.compare(p, set)
	if err != nil {
		return err
	}
	if !a.UpToDate && !cmd.Check && !cmd.DryRun {
		if err := writeLock(p, set.Wishes.LockPath, old, []byte(set.Lock.Content)); err != nil {
			return err
		}
		a.Written = true
	}
	if err := cmd.tell(u, a); err != nil {
		return err
	}
	if cmd.Check && !a.UpToDate {
		return statusError{exitChanges}
	}
	return nil
}

func (cmd *lockCmd) resolve(ctx context.Context, u *ui, p *project) (packages.Set, error) {
	in := p.resolving(u)
	in.Upgrade = upgradeOf(cmd.Upgrade, cmd.Upgrades)
	objs, diags := resolve.Resolver{}.Resolve(ctx, in)
	u.untick()
	if diags.HasErrors() {
		return packages.Set{}, &configError{diags, p.file.Sources}
	}
	u.diagnostics(p.file.Sources, diags)
	return setOf(objs)
}

func setOf(objs []plan.Object) (set packages.Set, err error) {
	for _, o := range objs {
		if o.Addr == packages.SetAddr {
			err = o.Decode(&set)
		}
	}
	return set, err
}

// compare says how the lock file would change. One that can't be read was said to be
// invalid before.
func (cmd *lockCmd) compare(p *project, set packages.Set) (lockAnswer, []byte, error) {
	a := lockAnswer{Environment: p.conf.Name, File: set.Wishes.LockPath, Packages: len(set.Packages), Changes: []pylock.Change{}}
	old, err := readLock(p, a.File)
	if err != nil {
		return a, nil, err
	}
	var from pylock.File
	if len(old) > 0 {
		if from, err = pylock.Decode(old); err != nil {
			return a, nil, err
		}
	}
	to, err := pylock.Decode([]byte(set.Lock.Content))
	if err != nil {
		return a, nil, err
	}
	a.UpToDate = string(old) == set.Lock.Content || len(old) == 0 && a.Packages == 0
	a.Changes = append(a.Changes, pylock.Changes(from, to)...)
	return a, old, nil
}

func (cmd *lockCmd) tell(u *ui, a lockAnswer) error {
	if cmd.JSON {
		return u.answer(a)
	}
	var b strings.Builder
	for _, c := range a.Changes {
		switch {
		case c.From == "":
			fmt.Fprintf(&b, "+ %s %s\n", cell(c.Name), cell(c.To))
		case c.To == "":
			fmt.Fprintf(&b, "- %s %s\n", cell(c.Name), cell(c.From))
		default:
			fmt.Fprintf(&b, "~ %s %s -> %s\n", cell(c.Name), cell(c.From), cell(c.To))
		}
	}
	n := plural(a.Packages, "package")
	switch {
	case a.UpToDate:
		fmt.Fprintf(&b, "%s is up to date: %s.\n", cell(a.File), n)
	case a.Written:
		fmt.Fprintf(&b, "Wrote %s: %s.\n", cell(a.File), n)
	default:
		fmt.Fprintf(&b, "%s is not up to date: %s.\n", cell(a.File), n)
	}
	return printAll(u.out, []byte(b.String()))
}

// readLock reads the lock file; an absent one is empty. The resolver has read it, too.
func readLock(p *project, name string) ([]byte, error) {
	b, err := readBounded(filepath.Join(p.env.Project, name), pylock.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// writeLock replaces the lock file in one step, if it holds old still. It belongs to the
// person, and nothing is followed that leads out of the project.
func writeLock(p *project, name string, old, b []byte) error {
	root, err := os.OpenRoot(p.env.Project)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if now, err := readLock(p, name); err != nil || string(now) != string(old) {
		return errors.Join(fmt.Errorf("%s was changed meanwhile; nothing was written", name), err)
	}
	mode, uid, gid := fs.FileMode(0o644), p.env.UID, p.env.GID
	if fi, err := root.Lstat(name); err == nil {
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("%s is no plain file: remove it, or name another one with lock in the python block", name)
		}
		mode = fi.Mode().Perm()
	}
	dir, err := root.OpenRoot(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the project has no folder %s: make it, or name another file with lock in the python block", filepath.Dir(name))
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return replaceIn(dir, filepath.Base(name), b, mode, uid, gid)
}

// problemsOf is for verbs that ask a resolver something.
func problemsOf(p *project, diags hcl.Diagnostics) error {
	if diags.HasErrors() {
		return &configError{diags, p.file.Sources}
	}
	return nil
}
