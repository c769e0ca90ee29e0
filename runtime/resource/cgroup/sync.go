package cgroup

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/resource/cgroup/watch"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

var _ kinds.Flusher = Host{}

// Sync limits bandwidth and sockets of the groups that were made below env's since the last
// Apply, the container's own: v1 does not do so by itself. Then it watches for limits that are
// reached.
func (x Host) Sync(ctx context.Context, env state.Env) error {
	var l resource.Limits
	ok, err := env.ReadNote(limitsNote, &l)
	if err != nil {
		return err
	}
	if !ok {
		return x.watches.end(env)
	}
	wanted, err := flatten(l)
	if err != nil {
		return err
	}
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	if err := limitBelow(hs, env, wanted); err != nil {
		return err
	}
	if err := x.watches.follow(ctx, env, groupsOf(hs, env.Cgroup), wanted); err != nil {
		return err
	}
	return ctx.Err()
}

func limitBelow(hs []hierarchy, env state.Env, wanted wishes) error {
	devs, err := devicesFor(env, wanted)
	if err != nil {
		return err
	}
	for _, p := range places(hs, devs) {
		dir := filepath.Join(p.root, env.Cgroup)
		switch c := p.controller.(type) {
		case ioV1:
			if len(devs) > 0 {
				err = c.throttle(dir, wanted)
			}
		case memoryV1:
			err = limitSockets(dir, wanted)
		}
		if err != nil {
			return fmt.Errorf("limit groups of %s: %w", env.Cgroup, err)
		}
	}
	return nil
}

// Flush implements kinds.Flusher.
func (x Host) Flush(_ context.Context, env state.Env) error { return x.watches.flush(env) }

// Close ends the watches. The kernel goes on to enforce.
func (x Host) Close() error {
	x.watches.close()
	return nil
}

// groupsOf are the folders of a group where the kernel counts.
func groupsOf(hs []hierarchy, group string) usage.Groups {
	var g usage.Groups
	for _, h := range hs {
		dir := filepath.Join(h.root, group)
		for _, of := range []struct {
			to     *string
			v1, v2 string
		}{{&g.CPU, "cpu", "cpu"}, {&g.Memory, "memory", "memory"}, {&g.IO, "blkio", "io"}, {&g.PIDs, "pids", "pids"}, {&g.Account, "cpuacct", ""}} {
			if !h.v2 && h.has(of.v1) || h.v2 && of.v2 != "" && h.has(of.v2) {
				*of.to = dir
			}
		}
		if h.v2 {
			g.Pressure = dir
		}
	}
	if g.Account == "" { // v2 counts CPU time in every group, with a controller or without
		g.Account = g.Pressure
	}
	return g
}

// watches are those of all environments that this process looks after; nil watches none.
type watches struct {
	log *slog.Logger

	mu sync.Mutex
	of map[string]*watch.Watch // by id of the environment
}

func newWatches(log *slog.Logger) *watches { return &watches{log: log, of: map[string]*watch.Watch{}} }

// follow watches an environment from now on.
func (ws *watches) follow(ctx context.Context, env state.Env, g usage.Groups, w wishes) error {
	if ws == nil {
		return nil
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	bounds := watch.Bandwidths{ReadBPS: w[ioReadBPS], WriteBPS: w[ioWriteBPS], ReadIOPS: w[ioReadIOPS], WriteIOPS: w[ioWriteIOPS]}
	if is := ws.of[env.ID]; is != nil {
		if is.Groups() == g {
			is.Bound(bounds)
			return nil
		}
		is.Close()
		delete(ws.of, env.ID)
	}
	if err := g.Keep(env); err != nil {
		return err
	}
	is, err := watch.Start(ctx, env, g, bounds, ws.log)
	if err != nil {
		return err
	}
	ws.of[env.ID] = is
	return nil
}

// end forgets an environment that has no limits any more.
func (ws *watches) end(env state.Env) error {
	if ws == nil {
		return nil
	}
	ws.mu.Lock()
	is := ws.of[env.ID]
	delete(ws.of, env.ID)
	ws.mu.Unlock()
	if is != nil {
		is.Close()
	}
	if err := usage.Forget(env); err != nil {
		return err
	}
	return usage.DropRecord(env)
}

func (ws *watches) flush(env state.Env) error {
	if ws == nil {
		return nil
	}
	ws.mu.Lock()
	is := ws.of[env.ID]
	ws.mu.Unlock()
	if is == nil {
		return nil
	}
	return is.Flush()
}

func (ws *watches) close() {
	if ws == nil {
		return
	}
	ws.mu.Lock()
	all := slices.Collect(maps.Values(ws.of))
	clear(ws.of)
	ws.mu.Unlock()
	for _, is := range all {
		is.Close()
	}
}
