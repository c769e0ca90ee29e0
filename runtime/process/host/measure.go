//go:build linux

package host

import (
	"context"
	"errors"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

var _ kinds.Measurer = (*Host)(nil)

// Measure implements kinds.Measurer: which process is PID 1 of the sandbox that was
// applied last.
func (h *Host) Measure(ctx context.Context, env state.Env, v *state.Vitals) error {
	var d destination
	if ok, err := socketNote.read(env, &d); !ok || err != nil {
		return err
	}
	s, err := sandbox.Load(ctx, env, sandbox.IDOfSocket(d.Socket))
	if errors.Is(err, sandbox.ErrNotRunning) && ctx.Err() == nil {
		return nil
	}
	if err != nil {
		return err
	}
	v.PID, v.Since = s.PID(), s.Started()
	return nil
}
