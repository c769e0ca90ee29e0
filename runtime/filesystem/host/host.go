//go:build linux

// Package host is the host half of the filesystem kind: the mounts of a sandbox, what
// is noted about the use of files in them, and the room on the host's disks. Each object has its own half below.
package host

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/filesystem/room"
	"blast.example/blast/runtime/filesystem/track"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// Host is both halves as one; see kinds for the contract. What only the mounts do is
// theirs.
type Host struct {
	*mounts.Host
	track *track.Host
	room  *room.Host
}

var (
	_ kinds.Host      = (*Host)(nil)
	_ kinds.Committer = (*Host)(nil)
	_ kinds.Keeper    = (*Host)(nil)
	_ kinds.Checker   = (*Host)(nil)
	_ kinds.Watcher   = (*Host)(nil)
	_ kinds.Monitor   = (*Host)(nil)
	_ kinds.Flusher   = (*Host)(nil)
	_ kinds.Copier    = (*Host)(nil)
	_ kinds.Doubter   = (*Host)(nil)
)

// New returns a Host that watches nothing yet. What an alert or a disk without room freezes the freezer does.
func New(log *slog.Logger, freezer kinds.Freezer) *Host {
	return &Host{mounts.New(log), track.New(log, freezer), room.New(log, freezer)}
}

// Knows implements apply.Knower.
func (h *Host) Knows(addr string) bool { return h.Host.Knows(addr) || h.track.Knows(addr) }

// Observe implements kinds.Host.
func (h *Host) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	tree, err := h.Host.Observe(ctx, env)
	if err != nil {
		return nil, err
	}
	tracked, err := h.track.Observe(ctx, env)
	return append(tree, tracked...), err
}

// Apply implements kinds.Host.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr == filesystem.TrackAddr {
		return h.track.Apply(ctx, env, c)
	}
	if err := h.Host.Apply(ctx, env, c); err != nil {
		return err
	}
	if err := tell(env); err != nil {
		return err
	}
	return h.track.Sync(ctx, env) // what is mounted now is watched at once
}

// Commit implements kinds.Committer.
func (h *Host) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr == filesystem.TrackAddr {
		return h.track.Commit(ctx, env, c)
	}
	return h.Host.Commit(ctx, env, c)
}

// Restore implements kinds.Keeper.
func (h *Host) Restore(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr == filesystem.TrackAddr {
		return h.track.Restore(ctx, env, c)
	}
	return h.Host.Restore(ctx, env, c)
}

// Check implements kinds.Checker.
func (h *Host) Check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	ps, err := h.Host.Check(ctx, env, desired)
	if err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context, state.Env, []plan.Object) ([]kinds.Problem, error){h.track.Check, h.room.Check} {
		more, err := check(ctx, env, desired)
		if err != nil {
			return nil, err
		}
		ps = append(ps, more...)
	}
	return ps, nil
}

// Sync implements kinds.Watcher: first the mounts, then what watches them.
func (h *Host) Sync(ctx context.Context, env state.Env) error {
	return errors.Join(h.Host.Sync(ctx, env), tell(env), h.track.Sync(ctx, env), h.room.Sync(ctx, env))
}

// Close implements kinds.Watcher.
func (h *Host) Close() error { return errors.Join(h.room.Close(), h.track.Close(), h.Host.Close()) }

// Doubt implements kinds.Doubter.
func (h *Host) Doubt(ctx context.Context, env state.Env, force bool) error {
	return h.room.Doubt(ctx, env, force)
}

// Records implements kinds.Monitor.
func (h *Host) Records() []string { return h.track.Records() }

// Monitor implements kinds.Monitor.
func (h *Host) Monitor(ctx context.Context, env state.Env, a kinds.Asking, tell func(line json.RawMessage) error) error {
	return h.track.Monitor(ctx, env, a, tell)
}

// Flush implements kinds.Flusher.
func (h *Host) Flush(ctx context.Context, env state.Env) error { return h.track.Flush(ctx, env) }
