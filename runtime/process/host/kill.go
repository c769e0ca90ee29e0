//go:build linux

package host

import (
	"context"
	"errors"
	"syscall"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

var _ kinds.Killer = (*Host)(nil)

// Kill implements kinds.Killer for the sandbox that commands go to.
func (h *Host) Kill(ctx context.Context, env state.Env, sig syscall.Signal) (int, error) {
	var d destination
	if ok, err := socketNote.read(env, &d); !ok || err != nil {
		return 0, err
	}
	s, err := sandbox.Load(ctx, env, sandbox.IDOfSocket(d.Socket))
	if errors.Is(err, sandbox.ErrEnded) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if sig == syscall.SIGKILL {
		return s.Kill(ctx)
	}
	return s.Signal(sig)
}
