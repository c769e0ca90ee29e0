package gate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/state"
)

// A noted policy is one that was applied, as its note has it and as it was understood.
// Notes of thousands of rules take longer to read than to compare with the kernel.
type noted struct {
	raw   json.RawMessage // of the note
	attrs json.RawMessage // of the object
	policy
}

// noted reads the policy that was applied last. false is none.
func (h *Host) noted(env state.Env) (noted, bool, error) {
	var raw json.RawMessage
	if there, err := env.ReadNote(policyNote, &raw); err != nil || !there {
		return noted{}, false, err
	}
	if n := h.remembered(env); bytes.Equal(n.raw, raw) {
		return n, true, nil
	}
	var p network.Policy
	if err := json.Unmarshal(raw, &p); err != nil {
		return noted{}, false, fmt.Errorf("read note %s: %w", policyNote, err)
	}
	ready, err := prepare(p)
	if err != nil {
		return noted{}, false, err
	}
	n := noted{raw, plan.NewObject(network.PolicyAddr, ready.Policy, nil).Attrs, ready}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes[env.ID] = n
	return n, true, nil
}

// remembered is what the note of env was when it was last read.
func (h *Host) remembered(env state.Env) noted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.notes[env.ID]
}
