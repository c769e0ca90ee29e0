//go:build linux

package mounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Host observes and applies filesystem.tree, and guards the mounts of each
// environment that is up. See kinds for the contract.
type Host struct {
	log *slog.Logger

	mu     sync.Mutex
	locks  map[string]*sync.Mutex // by environment id: one thing at a time
	guards map[string][]*guard    // by environment id: of its sandboxes
}

var (
	_ kinds.Host      = (*Host)(nil)
	_ kinds.Committer = (*Host)(nil)
	_ kinds.Keeper    = (*Host)(nil)
	_ kinds.Checker   = (*Host)(nil)
	_ kinds.Watcher   = (*Host)(nil)
)

// New returns a Host that guards nothing yet; Sync starts that.
func New(log *slog.Logger) *Host {
	return &Host{log: log, locks: map[string]*sync.Mutex{}, guards: map[string][]*guard{}}
}

// treeNote is what was applied last. What is true of it, the kernel says.
const treeNote = "filesystem"

// limitsNote is what commands start with: see command.Defaults.
var limitsNote = command.NoteName("filesystem")

func (h *Host) lock(env state.Env) func() {
	h.mu.Lock()
	l := h.locks[env.ID]
	if l == nil {
		l = &sync.Mutex{}
		h.locks[env.ID] = l
	}
	h.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// Knows implements apply.Knower.
func (*Host) Knows(addr string) bool { return addr == filesystem.TreeAddr }

// Apply implements kinds.Host.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr != filesystem.TreeAddr {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	var to filesystem.Tree
	_, hasTo, err := c.Sides(&filesystem.Tree{}, &to)
	if err != nil {
		return err
	}
	if !hasTo || to.Sandbox == "" {
		defer h.lock(env)()
		return remove(ctx, env, hasTo, to.Layer.ID)
	}
	if hasLayers(to) { // this may take long, and the guard must not wait for it
		if err := prepareLayer(ctx, env, to); err != nil {
			return err
		}
	}
	defer h.lock(env)()
	err = show(ctx, env, to)
	if err != nil && ctx.Err() == nil && sandbox.Ended(env, to.Sandbox) {
		return &apply.GoneError{Err: err}
	}
	return err
}

// Restore implements kinds.Keeper: the layer is on disk, and nothing is mounted.
func (h *Host) Restore(ctx context.Context, env state.Env, c plan.Change) error {
	var to filesystem.Tree
	_, hasTo, err := c.Sides(&filesystem.Tree{}, &to)
	if err != nil {
		return err
	}
	if hasTo && hasLayers(to) {
		if err := prepareLayer(ctx, env, to); err != nil {
			return err
		}
	}
	defer h.lock(env)()
	return remove(ctx, env, hasTo, to.Layer.ID)
}

// show makes the sandbox of a tree show it. Other sandboxes of the environment
// are left as they are: the undo may want them back.
func show(ctx context.Context, env state.Env, to filesystem.Tree) error {
	ws, err := wantedNow(ctx, env, to)
	if err != nil {
		return err
	}
	b, err := enter(ctx, env, to.Sandbox)
	if err != nil {
		return fmt.Errorf("enter sandbox: %w", err)
	}
	defer b.close()
	b.want(ws, to.Layer.ID)
	if err := b.converge(ctx); err != nil {
		return err
	}
	if err := syncLedger(env); err != nil {
		return err
	}
	if err := writeLimits(env, to.MaxFileSize); err != nil {
		return err
	}
	to.Drift = nil
	return env.WriteNote(treeNote, to)
}

// remove takes all mounts out of every sandbox of the environment. The layer is put
// aside until Commit, or stays where it is if all that is wanted is that nothing
// is mounted; then the one of that id comes back if it was kept.
func remove(ctx context.Context, env state.Env, keepIt bool, id string) error {
	ids, err := sandbox.List(env)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := clear(ctx, env, id); err != nil {
			return err
		}
	}
	if err := env.DropNote(limitsNote); err != nil {
		return err
	}
	if err := errors.Join(env.DropNote(treeNote), env.DropNote(placesNote)); err != nil {
		return err
	}
	from, err := backingOf(env)
	if err != nil {
		return err
	}
	if !keepIt {
		return keepLayer(from)
	}
	have, ok, err := from.look(current)
	if err == nil && (!ok || have.id != id) {
		_, err = takeBack(from, id)
	}
	return err
}

func clear(ctx context.Context, env state.Env, id string) error {
	b, err := enter(ctx, env, id)
	if errors.Is(err, sandbox.ErrNotRunning) && ctx.Err() == nil {
		return nil // its mounts went with it
	}
	if err != nil {
		return fmt.Errorf("enter sandbox: %w", err)
	}
	defer b.close()
	b.want(nil, "")
	err = b.converge(ctx)
	if err != nil && ctx.Err() == nil && sandbox.Ended(env, id) {
		return nil // meanwhile
	}
	return err
}

func writeLimits(env state.Env, maxFileSize int64) error {
	if maxFileSize == 0 {
		return env.DropNote(limitsNote)
	}
	n := uint64(maxFileSize)
	return env.WriteNote(limitsNote, command.Defaults{Rlimits: resource.Rlimits{"fsize": {Soft: n, Hard: n}}})
}

// Commit implements kinds.Committer.
func (h *Host) Commit(_ context.Context, env state.Env, c plan.Change) error {
	if c.Addr != filesystem.TreeAddr {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	defer h.lock(env)()
	if err := dropLayers(env); err != nil {
		return err
	}
	if c.To == nil {
		if err := dropMasks(env); err != nil {
			return err
		}
	}
	return tidy(env, c.To)
}

// tidy removes placeholders that the tree doesn't need. As long as a sandbox
// runs, a process in it may have a folder open in which a path was protected
// before: there a placeholder goes only if the tree shows its path and leaves it open.
func tidy(env state.Env, tree json.RawMessage) error {
	var to filesystem.Tree
	if tree != nil {
		if err := json.Unmarshal(tree, &to); err != nil {
			return fmt.Errorf("%s: %w", filesystem.TreeAddr, err)
		}
	}
	ws, err := expand(to.In(env.Project))
	if err != nil {
		return err
	}
	ids, err := sandbox.List(env)
	if err != nil {
		return err
	}
	return dropPlaceholders(env, func(path string) bool {
		shown, needed := uses(ws, path)
		return needed || len(ids) > 0 && !shown
	})
}

// uses reports whether a file of the host lies in a bind, and whether something
// is mounted on it there.
func uses(ws []want, file string) (shown, needed bool) {
	for _, w := range ws {
		if w.onHost() && within(file, w.Source) {
			shown = true
			target := w.Target + file[len(w.Source):]
			needed = needed || indexOf(ws, target) >= 0
		}
	}
	return shown, needed
}
