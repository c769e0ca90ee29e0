//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Observe implements kinds.Host. A layer without a running sandbox is a tree in
// which nothing is mounted: it holds data, so it is never taken for nothing.
//
// What a guard was told of is no drift yet: an editor has just saved a file, or a command
// blast.hcl. Only what is left after the guard's turn is.
func (h *Host) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		objs, drift, err := h.observe(ctx, env)
		if err != nil || !drift || wait > patience || !h.guarded(env) {
			return objs, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patience is the longest of the waits for a guard, which takes some milliseconds.
const patience = 64 * time.Millisecond

func (h *Host) observe(ctx context.Context, env state.Env) (objs []plan.Object, drift bool, err error) {
	defer h.lock(env)()
	have, ok, err := hasLayer(env)
	if err != nil {
		return nil, false, fmt.Errorf("observe mounts: %w", err)
	}
	var t filesystem.Tree
	noted, err := env.ReadNote(treeNote, &t)
	if err != nil {
		return nil, false, err
	}
	if noted {
		err = observeTree(ctx, env, &t, have, ok)
		if err == nil {
			return []plan.Object{plan.NewObject(filesystem.TreeAddr, t, nil)}, len(t.Drift) > 0, nil
		}
		if !errors.Is(err, sandbox.ErrNotRunning) || ctx.Err() != nil {
			return nil, false, fmt.Errorf("observe mounts: %w", err)
		}
	}
	if !ok {
		return nil, false, nil
	}
	rest := filesystem.Tree{Mounts: []filesystem.Mount{}, LayerSize: have.size, Layer: filesystem.LayerID{ID: have.id}, Drift: []string{"the sandbox that it was mounted in doesn't run"}}
	return []plan.Object{plan.NewObject(filesystem.TreeAddr, rest, nil)}, false, nil
}

// observeTree says in t how the kernel differs from it.
func observeTree(ctx context.Context, env state.Env, t *filesystem.Tree, have found, there bool) error {
	ws, err := wantedNow(ctx, env, *t)
	if err != nil {
		t.Drift = []string{err.Error()} // a note that nobody of us wrote
		return nil
	}
	b, err := look(ctx, env, t.Sandbox)
	if err != nil {
		return err
	}
	defer b.close()
	b.want(ws, t.Layer.ID)
	s, err := b.look()
	if err != nil {
		return err
	}
	t.Drift = s.drift()
	if hasLayers(*t) && !there {
		t.Drift = append(t.Drift, "the writable layer is gone")
	} else if text := have.differs(*t); hasLayers(*t) && text != "" {
		t.Drift = append(t.Drift, text)
	}
	var limits command.Defaults
	if _, err := env.ReadNote(limitsNote, &limits); err != nil {
		return err
	}
	if l := limits.Rlimits["fsize"]; l.Soft != uint64(t.MaxFileSize) || l.Hard != l.Soft {
		t.Drift = append(t.Drift, fmt.Sprintf("commands may write files of %d bytes", l.Soft))
	}
	return nil
}

func hasLayers(t filesystem.Tree) bool {
	for _, m := range t.Mounts {
		if m.Type == filesystem.Layer {
			return true
		}
	}
	return false
}
