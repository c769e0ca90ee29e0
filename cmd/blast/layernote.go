package main

import (
	"context"
	"fmt"
	"os"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
)

// noteLayer says in a plan what becomes of what commands wrote over the project and nobody
// accepted, where the plan drops it or takes it out of their sight.
func (m *planning) noteLayer(ctx context.Context, p *plan.Plan, recorded []plan.Object) {
	for i, s := range p.Steps {
		if s.Addr != filesystem.TreeAddr {
			continue
		}
		what := fate(s.Change)
		if _, err := workspaceOf(m.env, recorded); err != nil || what == "" {
			return // nothing is on record that could lie over a project
		}
		var res wire.ChangesResult
		by := wire.Caller{Command: m.command, PID: os.Getpid(), Wait: m.wait}
		if err := m.c.Call(ctx, wire.Changes, wire.ChangesParams{Env: m.env, Caller: by}, &res, m.u.event); err != nil {
			m.u.say("Note: what commands wrote over the project can't be counted: %v", err)
			return
		}
		if n := len(res.Changes); n > 0 {
			p.Steps[i].Notes = append(p.Steps[i].Notes, fmt.Sprintf("%s in the layer, over the project, %s (blast diff lists, blast accept takes over)", plural(n, "change"), what))
		}
	}
}

// fate is what a step does to a layer over the project; "" is nothing.
func fate(c plan.Change) string {
	var from, to filesystem.Tree
	hasFrom, hasTo, err := c.Sides(&from, &to)
	switch {
	case err != nil || !hasFrom:
		return ""
	case !hasTo:
		return "will be lost"
	case from.Layer.ID != to.Layer.ID:
		return "will be replaced by those of the snapshot"
	case overlaid(from) && !overlaid(to):
		return "will be out of sight; they stay until destroy, and show again with access = \"overlay\""
	}
	return ""
}

func overlaid(t filesystem.Tree) bool {
	for _, m := range t.Mounts {
		if m.Target == filesystem.WorkspaceDir {
			return m.Access == filesystem.Overlay
		}
	}
	return false
}
