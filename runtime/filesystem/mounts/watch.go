//go:build linux

package mounts

import (
	"context"
	"errors"
	"maps"
	"slices"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Sync implements kinds.Watcher: it guards the sandbox of the tree that was
// applied last, and, when nothing is left of an environment, removes the
// placeholders that had to stay for as long as something ran in it. A sandbox that
// is to be replaced stays guarded until it ends: commands run in it. When Sync returns
// the mounts are as wanted, whatever an apply has renamed on the host.
func (h *Host) Sync(ctx context.Context, env state.Env) error {
	var t filesystem.Tree
	ok, err := env.ReadNote(treeNote, &t)
	if err != nil {
		return err
	}
	var guarded *guard
	h.forget(env, func(g *guard) bool {
		over := !ok || g.over() || g.gone()
		if !over && g.box.id == t.Sandbox {
			guarded = g
		}
		return over
	})
	switch {
	case !ok:
		return h.sweep(env)
	case guarded != nil:
		guarded.lookNow(ctx) // it reads the note itself
		return nil
	}
	g, err := newGuard(ctx, h, env, t)
	if errors.Is(err, sandbox.ErrNotRunning) {
		return nil // nothing to guard
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guards[env.ID] = append(h.guards[env.ID], g)
	return nil
}

// sweep removes the placeholders of an environment without a tree.
func (h *Host) sweep(env state.Env) error {
	defer h.lock(env)()
	return tidy(env, nil)
}

// forget ends those guards of an environment for which over is true.
func (h *Host) forget(env state.Env, over func(*guard) bool) {
	var end []*guard
	h.mu.Lock()
	h.guards[env.ID] = slices.DeleteFunc(h.guards[env.ID], func(g *guard) bool {
		if !over(g) {
			return false
		}
		end = append(end, g)
		return true
	})
	if len(h.guards[env.ID]) == 0 {
		delete(h.guards, env.ID)
	}
	h.mu.Unlock()
	for _, g := range end {
		g.end()
	}
}

// guarded reports whether a guard works for env.
func (h *Host) guarded(env state.Env) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.guards[env.ID], func(g *guard) bool { return !g.over() })
}

// Close implements kinds.Watcher.
func (h *Host) Close() error {
	h.mu.Lock()
	guards := h.guards
	h.guards = map[string][]*guard{}
	h.mu.Unlock()
	for _, g := range slices.Concat(slices.Collect(maps.Values(guards))...) {
		g.end()
	}
	return nil
}
