//go:build linux

package host

import (
	"context"
	"encoding/json"
	"errors"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Sync sees to it that this daemon will know how the sandbox ends, also one that an
// earlier daemon started.
func (h *Host) Sync(_ context.Context, env state.Env) error {
	var d destination
	ok, err := socketNote.read(env, &d)
	if id := sandbox.IDOfSocket(d.Socket); err == nil && ok && id != "" {
		err = sandbox.Attend(env, id)
	}
	return err
}

// Close does nothing: sandboxes run on.
func (h *Host) Close() error { return nil }

// Witness tells how the sandbox ended, or how it differs from what was made.
func (h *Host) Witness(ctx context.Context, env state.Env) (map[string]string, error) {
	var d destination
	if ok, err := socketNote.read(env, &d); !ok || err != nil {
		return nil, err
	}
	id := sandbox.IDOfSocket(d.Socket)
	if id == "" {
		return nil, nil
	}
	how, err := sandbox.Ending(env, id)
	if err != nil {
		return nil, err
	}
	switch {
	case how == sandbox.OutOfMemory:
		how = "sandbox ended: " + how + memoryOf(env)
	case how != "":
		how = "sandbox ended: " + how
	default:
		if how = differs(ctx, env, id); how == "" {
			return nil, nil
		}
	}
	return map[string]string{process.SandboxAddr: how}, nil
}

// maxReason bounds what a sandbox that is not as it was made has to say, in characters.
const maxReason = 120

// differs is why the sandbox is none that commands may go to; "" if it is one.
func differs(ctx context.Context, env state.Env, id string) string {
	attrs, ok, err := readAttrs(env, id)
	var want process.Sandbox
	if !ok || err != nil || json.Unmarshal(attrs, &want) != nil {
		return ""
	}
	s, err := sandbox.Load(ctx, env, id)
	if err == nil {
		err = s.Matches(want.UID, want.GID, want.Capabilities, want.Hostname)
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, sandbox.ErrEnded):
		return "sandbox ended, not known how"
	}
	return wording.Foreign(err.Error(), maxReason)
}

// memoryOf is the limit that the sandbox ran into, as it was applied.
func memoryOf(env state.Env) string {
	st, err := env.Load()
	if err != nil {
		return "" // it is said elsewhere
	}
	for _, o := range st.Objects {
		var l resource.Limits
		if o.Addr == resource.LimitsAddr && o.Decode(&l) == nil && l.Memory != nil && l.Memory.Max != nil {
			return " (memory.max " + block.FormatSize(*l.Memory.Max) + ")"
		}
	}
	return ""
}
