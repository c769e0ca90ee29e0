//go:build linux

package track

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// actWithin bounds an action: a process that waits for a device can't be stopped before it
// has that.
const actWithin = 30 * time.Second

// act does what an alert asks for when it fires.
func (h *Host) act(env state.Env, f access.Alert) {
	if f.Action == filesystem.Log {
		return
	}
	h.log.Warn("an alert fired", "env", env.ID, "alert", f.Name, "event", f.Event, "count", f.Count, "action", f.Action)
	ctx, cancel := context.WithTimeout(context.Background(), actWithin)
	defer cancel()
	err := h.stop(ctx, env, f)
	if err == nil {
		return
	}
	h.log.Error("an alert could not do what it should", "env", env.ID, "alert", f.Name, "action", f.Action, "err", err)
	in := h.of(env)
	in.mu.Lock()
	b := in.book
	in.mu.Unlock()
	if b != nil {
		b.failed(f, err)
	}
}

func (h *Host) stop(ctx context.Context, env state.Env, f access.Alert) error {
	if f.Action == filesystem.Kill {
		return kill(ctx, env)
	}
	held := access.Held{Since: f.Time, Alert: f.Name, Reason: f.Text()}
	if err := env.WriteNote(access.HeldNote, held); err != nil { // first: who finds it frozen shall know why
		return err
	}
	if err := h.freezer.Freeze(ctx, env); err != nil {
		return errors.Join(fmt.Errorf("freeze: %w", err), env.DropNote(access.HeldNote))
	}
	return nil
}

// kill ends all processes of an environment but the inits of its sandboxes, which go on to
// take commands. What is started while it works it ends, too.
func kill(ctx context.Context, env state.Env) error {
	ids, err := sandbox.List(env)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		s, err := sandbox.Load(ctx, env, id)
		if errors.Is(err, sandbox.ErrNotRunning) {
			continue
		}
		if err == nil {
			err = s.End(ctx, func(int) bool { return true })
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Thaw implements kinds.Thawer: what an alert froze goes on with everything else.
func (h *Host) Thaw(_ context.Context, env state.Env) error { return env.DropNote(access.HeldNote) }

// unheld lets what an alert froze go on, when there are no alerts any more.
func (h *Host) unheld(env state.Env) error {
	var held access.Held
	if ok, err := env.ReadNote(access.HeldNote, &held); !ok || err != nil {
		return err
	}
	if err := h.freezer.Thaw(context.Background(), env); err != nil {
		return err
	}
	return env.DropNote(access.HeldNote)
}
