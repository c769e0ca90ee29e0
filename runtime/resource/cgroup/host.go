package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/state"
)

// Host observes and applies the objects of the resource kind. The zero value is
// ready, and notices nothing: see New.
type Host struct{ watches *watches }

// New returns a Host that notices when limits are reached.
func New(log *slog.Logger) Host { return Host{newWatches(log)} }

var (
	_ kinds.Host      = Host{}
	_ kinds.Committer = Host{}
	_ kinds.Checker   = Host{}
	_ kinds.Watcher   = Host{}
)

// limitsNote keeps the applied Limits. The environment has limits while it is
// there: the cgroup itself stays until Commit, for the undo of a deletion.
const limitsNote = "resource-limits"

// Observe returns resource.limits as the kernel's files have them and
// resource.rlimits as commands get them.
func (Host) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var objs []plan.Object
	limits, ok, err := observeLimits(env)
	if err != nil {
		return nil, fmt.Errorf("read cgroup %s: %w", env.Cgroup, err)
	}
	if ok {
		objs = append(objs, plan.NewObject(resource.LimitsAddr, limits, nil))
	}
	rlimits, ok, err := observeRlimits(env)
	if err != nil {
		return nil, err
	}
	if ok {
		objs = append(objs, plan.NewObject(resource.RlimitsAddr, rlimits, nil))
	}
	return objs, nil
}

// Knows implements apply.Knower.
func (Host) Knows(addr string) bool {
	return addr == resource.LimitsAddr || addr == resource.RlimitsAddr
}

// Apply brings the limits into force, live for processes that run. To remove
// them it only forgets them: the container's processes are still in the group,
// and an undo wants it as it was. Commit removes it.
func (Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch c.Addr {
	case resource.LimitsAddr:
		var from, to resource.Limits
		_, hasTo, err := c.Sides(&from, &to)
		if err != nil {
			return err
		}
		if !hasTo {
			return env.DropNote(limitsNote)
		}
		return applyLimits(env, to)
	case resource.RlimitsAddr:
		return applyRlimits(env, c)
	}
	return fmt.Errorf("%s: no such object of the resource kind", c.Addr)
}

// Commit removes the cgroup of deleted limits from every hierarchy, with what
// still runs in it.
func (Host) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr != resource.LimitsAddr || c.To != nil {
		return nil
	}
	if err := checkPath(env.Cgroup); err != nil {
		return err
	}
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	if err := removeGroup(ctx, hs, env.Cgroup); err != nil {
		return fmt.Errorf("remove cgroup %s: %w", env.Cgroup, err)
	}
	return nil
}

// observeLimits compares what the kernel has with what was applied. A group that
// is gone from one hierarchy limits nothing there: then there are no limits.
func observeLimits(env state.Env) (resource.Limits, bool, error) {
	var l resource.Limits
	if ok, err := env.ReadNote(limitsNote, &l); !ok || err != nil {
		return l, false, err
	}
	wanted, err := flatten(l)
	if err != nil {
		return l, false, err
	}
	hs, err := hierarchies()
	if err != nil {
		return l, false, err
	}
	// Without its disks the wished bandwidths hold nowhere, and read so.
	devs, _ := devicesFor(env, wanted)
	all := places(hs, devs)
	for _, p := range all {
		dir := filepath.Join(p.root, env.Cgroup)
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return l, false, nil
		}
		now, err := p.read(dir, wanted)
		if err != nil {
			return l, false, err
		}
		settled := p.settle(wanted)
		for _, it := range p.items() {
			if !now.is(settled, it) {
				put(&l, it, now)
			}
		}
	}
	for _, it := range homeless(all, wanted) {
		put(&l, it, nil)
	}
	return l, true, nil
}

// applyLimits makes the group where it is missing, writes what differs, and only
// then says so.
func applyLimits(env state.Env, l resource.Limits) error {
	if err := checkPath(env.Cgroup); err != nil {
		return err
	}
	wanted, err := flatten(l)
	if err != nil {
		return err
	}
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	devs, err := devicesFor(env, wanted)
	if err != nil {
		return err
	}
	all := places(hs, devs)
	if missing := homeless(all, wanted); len(missing) > 0 {
		return fmt.Errorf("%s: this host has no cgroup controller for it", missing[0])
	}
	if len(all) == 0 {
		return errors.New("no cgroup hierarchy with the cpu, memory, blkio (io) or pids controller is mounted")
	}
	for _, h := range hs {
		if names := controllersOf(h, all); len(names) > 0 {
			if err := h.makeGroup(env.Cgroup, names); err != nil {
				return err
			}
		}
	}
	for _, p := range all {
		if err := p.write(filepath.Join(p.root, env.Cgroup), wanted); err != nil {
			return fmt.Errorf("limit %s: %w", p.name, err)
		}
	}
	return env.WriteNote(limitsNote, l)
}

// controllersOf are the names of those in all that h is the home of.
func controllersOf(h hierarchy, all []place) []string {
	var names []string
	for _, p := range all {
		if p.root == h.root {
			names = append(names, p.name)
		}
	}
	return names
}

// devicesFor returns the disks on which the bandwidths of w are to hold.
func devicesFor(env state.Env, w wishes) ([]device, error) {
	if len(w.only(ioReadBPS, ioWriteBPS, ioReadIOPS, ioWriteIOPS)) == 0 {
		return nil, nil
	}
	return backing(env.Project, env.Dir)
}

// Phase implements kinds.Phaser.
func (Host) Phase() string { return "configuring cgroups" }
