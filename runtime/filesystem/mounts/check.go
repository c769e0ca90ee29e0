//go:build linux

package mounts

import (
	"context"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// Check implements kinds.Checker.
func (h *Host) Check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return nil, nil
}
