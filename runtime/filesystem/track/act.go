//go:build linux

package track

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/plan"
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
	if env.Held() != nil {
		return nil // it stands still already, and who was first counts
	}
	hold := state.Hold{Time: f.Time.UTC().Truncate(time.Second), By: fmt.Sprintf("alert %q", f.Name), Why: f.Text(), Place: lineOf(env, f.Name)}
	if err := env.Keep(hold); err != nil { // first: who finds it frozen shall know why
		return err
	}
	if err := h.freezer.Freeze(ctx, env); err != nil {
		return errors.Join(fmt.Errorf("freeze: %w", err), env.LetGo())
	}
	return nil
}

// lineOf is the line of an alert; "" if it isn't known.
func lineOf(env state.Env, alert string) string {
	st, err := env.Load()
	if err != nil {
		return ""
	}
	for _, o := range st.Objects {
		if o.Addr == filesystem.TrackAddr {
			return plan.PlaceOf(o.Src, "alert."+alert)
		}
	}
	return ""
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
			_, err = s.Kill(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
