//go:build linux

package mounts

import (
	"context"
	"errors"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Sync implements kinds.Watcher: it guards the sandbox of the tree that was
// applied last, and, when nothing is left of an environment, removes the
// placeholders that had to stay for as long as something ran in it.
func (h *Host) Sync(ctx context.Context, env state.Env) error {
	var t filesystem.Tree
	ok, err := env.ReadNote(treeNote, &t)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g := h.guards[env.ID]
	h.mu.Unlock()
	if g != nil && (!ok || g.box.id != t.Sandbox || g.over()) {
		h.forget(env)
		g = nil
	}
	switch {
	case !ok:
		return h.sweep(env)
	case g != nil:
		return nil // it reads the note itself
	}
	g, err = newGuard(ctx, h, env, t)
	if errors.Is(err, sandbox.ErrNotRunning) {
		return nil // nothing to guard
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guards[env.ID] = g
	return nil
}

// sweep removes the placeholders of an environment without a tree.
func (h *Host) sweep(env state.Env) error {
	defer h.lock(env)()
	return tidy(env, nil)
}

// forget ends the guard of an environment.
func (h *Host) forget(env state.Env) {
	h.mu.Lock()
	g := h.guards[env.ID]
	delete(h.guards, env.ID)
	h.mu.Unlock()
	if g != nil {
		g.end()
	}
}

// Close implements kinds.Watcher.
func (h *Host) Close() error {
	h.mu.Lock()
	guards := h.guards
	h.guards = map[string]*guard{}
	h.mu.Unlock()
	for _, g := range guards {
		g.end()
	}
	return nil
}
