//go:build linux

// Package generation is the half of the packages kind that touches the machine:
// it makes virtual environments (PEP 405) of the wheels in the cache, and says
// which of them a sandbox sees.
//
//	<env.Dir>/packages/          seen at packages.VenvDir, read-only
//	    <digest>/                a generation, named by its attributes' digest
//	        .blast.json          what it was made of; only root reads it
//	        pyvenv.cfg  bin/  lib/  lib64 → lib
//	    current → <digest>       the one that counts, replaced in one step
//	    .new/                    one being made, or a damaged one it replaced
//	    .lock.json               the lock file as it was before the change
//
// Files are hard links to the cache's, so a generation costs names and no data.
// The old one stays until the change is final:
//
//	Apply  A → B    B is made beside A; current leads to B
//	Apply  B → A    current leads to A again, which was never touched
//	Commit … → A    all but A go
//
// The one thing outside is the lock file (PEP 751), which lies in the project and
// belongs to the person. It is written last before the switch, and what it was is
// kept for the undo. Deleting the set leaves it: it is under version control.
package generation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/wheel"
	"blast.example/blast/state"
)

// Host observes and applies packages.set.
type Host struct {
	cacheDir string
	cache    *cache.Cache
	asked    interpreters
}

// New returns the host half of the packages kind. Wheels are kept, unpacked, in
// cacheDir, which is made when needed and may be shared by any number of
// environments. Nobody but this user may be able to write there.
func New(cacheDir string) *Host { return &Host{cacheDir: cacheDir, cache: cache.New(cacheDir)} }

// A target is a generation that is wanted.
type target struct {
	id    string
	attrs json.RawMessage // nil is none
	set   packages.Set
	drift bool // it is a state that somebody had changed by hand: it comes from an undo
}

// newTarget reads one side of a change. What drifted can't be made again: the undo
// of mending a generation is the generation as it was meant.
func newTarget(attrs json.RawMessage) (target, error) {
	if attrs == nil {
		return target{}, nil
	}
	t := target{attrs: attrs}
	if err := json.Unmarshal(attrs, &t.set); err != nil {
		return target{}, fmt.Errorf("%s: %w", packages.SetAddr, err)
	}
	if len(t.set.Drift) > 0 {
		t.drift, t.set.Drift = true, nil
		t.attrs = plan.NewObject(packages.SetAddr, t.set, nil).Attrs
	}
	t.id = plan.Digest(t.attrs)
	return t, nil
}

// none reports whether nothing is wanted.
func (t target) none() bool { return t.attrs == nil }

// minor is the version of Python as folders are called by it: 3.11, or 3.13t for one
// without the global lock, whose compiled modules are others.
func (t target) minor() string {
	parts := strings.SplitN(t.set.Python.Version, ".", 3)
	minor := strings.Join(parts[:min(len(parts), 2)], ".")
	if path.Base(t.set.Python.Path) == "python"+minor+"t" {
		minor += "t"
	}
	return minor
}

// wheelTarget says where wheels think that they are installed: what a sandbox sees.
func (t target) wheelTarget() wheel.Target {
	return wheel.Target{Python: t.minor(), Interpreter: packages.VenvDir + "/" + currentName + "/bin/python"}
}

// Knows implements apply.Knower.
func (*Host) Knows(addr string) bool { return addr == packages.SetAddr }

// Apply makes c.To the current generation, and its lock file the project's. With
// no To, none is current; the generation itself goes in Commit, as an undo wants
// it back as it is.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr != packages.SetAddr {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	to, err := newTarget(c.To)
	if err != nil {
		return err
	}
	if to.none() {
		return withdraw(ctx, env, c)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := openFolder(env, true)
	if err != nil {
		return err
	}
	defer f.close()
	if err := h.ensure(ctx, f, to); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := applyLock(env, f, c, to); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.switchTo(to.id)
}

// Restore implements kinds.Keeper: all that there is of a generation is on disk.
func (h *Host) Restore(ctx context.Context, env state.Env, c plan.Change) error {
	return h.Apply(ctx, env, c)
}

// withdraw leaves no generation current.
func withdraw(ctx context.Context, env state.Env, c plan.Change) error {
	f, err := openFolder(env, false)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := applyLock(env, f, c, target{}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.switchTo("")
}

// ensure makes the generation unless it is there and whole.
func (h *Host) ensure(ctx context.Context, f *folder, to target) error {
	if m, err := f.manifest(to.id); err == nil {
		found, err := f.inspect(to.id, m)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
	}
	return h.build(ctx, f, to)
}

// Commit drops all that was kept for the undo. Generations that the history refers to
// stay, so that a rollback needs no index.
func (h *Host) Commit(_ context.Context, env state.Env, c plan.Change) error {
	if c.Addr != packages.SetAddr {
		return nil
	}
	to, err := newTarget(c.To)
	if err != nil {
		return err
	}
	f, err := openFolder(env, false)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	if err := dropDraft(env, f); err != nil {
		return err
	}
	return f.keep(env, to.id)
}

// Prune removes the generations that the history refers to no more.
func (h *Host) Prune(_ context.Context, env state.Env) error {
	f, err := openFolder(env, false)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	return f.keep(env, f.current())
}

// keep removes all but the generation in use and those of the history.
func (f *folder) keep(env state.Env, id string) error {
	kept, err := env.Kept(packages.SetAddr)
	if err != nil {
		return nil //nolint:nilerr // nobody knows what is of use: all of it stays
	}
	var names []string
	for _, attrs := range kept {
		if t, err := newTarget(attrs); err == nil && !t.none() {
			names = append(names, t.id)
		}
	}
	if id != "" {
		names = append(names, id, currentName)
	}
	if err := f.clear(names...); err != nil || len(names) > 0 {
		return err
	}
	return f.forget(env)
}

// Phase implements kinds.Phaser.
func (*Host) Phase() string { return "installing packages" }
