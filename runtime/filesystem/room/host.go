//go:build linux

// Package room keeps the host's disks from being filled through a sandbox: what commands
// write into the workspace, through mounts and into the writable layer.
//
// It watches how much is free of each of those disks. When that falls below the reserve
// of an environment, all that runs in it stands still (state.Hold), which loses nothing
// and can be undone. That is after the fact: between two looks a writer goes on, and so
// the looks come closer to each other the less there is to go. What a disk may lose in
// one call of the kernel, fallocate(2), no look comes in time for.
package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// Host watches the disks of each environment that is up.
type Host struct {
	log     *slog.Logger
	freezer kinds.Freezer

	mu sync.Mutex
	of map[string]*watch // by environment id
}

var (
	_ kinds.Watcher = (*Host)(nil)
	_ kinds.Checker = (*Host)(nil)
	_ kinds.Doubter = (*Host)(nil)
)

// New returns a Host that watches nothing yet.
func New(log *slog.Logger, freezer kinds.Freezer) *Host {
	return &Host{log: log, freezer: freezer, of: map[string]*watch{}}
}

// Sync implements kinds.Watcher.
func (h *Host) Sync(ctx context.Context, env state.Env) error {
	t, ok, err := mounts.Applied(env)
	if err != nil {
		return err
	}
	h.mu.Lock()
	old := h.of[env.ID]
	delete(h.of, env.ID)
	h.mu.Unlock()
	if old != nil {
		old.end()
	}
	if !ok || t.Reserve == filesystem.NoReserve {
		return nil
	}
	disks, err := disksOf(env, t)
	if err != nil {
		return fmt.Errorf("watch the room on disks: %w", err)
	}
	w := begin(ctx, env, disks, h.log.With("env", env.ID), h.freezer)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of[env.ID] = w
	return nil
}

// Close implements kinds.Watcher.
func (h *Host) Close() error {
	h.mu.Lock()
	all := h.of
	h.of = map[string]*watch{}
	h.mu.Unlock()
	for _, w := range all {
		w.end()
	}
	return nil
}

// Check implements kinds.Checker: it only tells.
func (h *Host) Check(_ context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, filesystem.TreeAddr, func(t filesystem.Tree) ([]kinds.Problem, error) {
		disks, err := disksOf(env, t)
		if err != nil {
			return nil, nil // who mounts them tells what is wrong with them
		}
		defer closeAll(disks)
		var ps []kinds.Problem
		for _, d := range disks {
			if is, err := d.look(); err == nil && is.lack(d.floor) != "" {
				ps = append(ps, kinds.Problem{Addr: filesystem.TreeAddr, Item: "reserve", Fix: "Free some space.", Note: true,
					Reason: fmt.Sprintf("commands will stand still at once: the disk of %s has %s", d.path, is.lack(d.floor))})
			}
		}
		return ps, nil
	})
}

// Doubt implements kinds.Doubter: nothing goes on that the reserve holds while its reason
// is there. By force it goes on until half of what is left is gone.
func (h *Host) Doubt(_ context.Context, env state.Env, force bool) error {
	t, ok, err := mounts.Applied(env)
	if err != nil || !ok || t.Reserve == filesystem.NoReserve {
		return err
	}
	disks, err := disksOf(env, t)
	if err != nil {
		return err
	}
	defer closeAll(disks)
	var errs []error
	floors := Floors{}
	for _, d := range disks {
		is, err := d.look()
		if err != nil {
			return err
		}
		if lack := is.lack(d.floor); lack != "" {
			errs = append(errs, fmt.Errorf("the disk of %s has %s", d.path, lack))
			floors[d.path] = reserve{bytes: is.free / 2, inodes: is.inodes / 2}.floor()
		}
	}
	if len(errs) == 0 {
		return DropFloors(env)
	}
	if force {
		return floors.keep(env)
	}
	return errors.Join(errs...)
}
