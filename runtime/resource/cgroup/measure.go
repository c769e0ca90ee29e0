package cgroup

import (
	"context"
	"path/filepath"
	"strconv"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

var _ kinds.Measurer = Host{}

// usageFiles are what the memory controllers of v2 and v1 count in, in bytes.
var usageFiles = []string{"memory.current", "memory.usage_in_bytes"}

// Measure implements kinds.Measurer: what the kernel counts for the environment's group.
func (Host) Measure(_ context.Context, env state.Env, v *state.Vitals) error {
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		for _, name := range usageFiles {
			text, err := readFile(filepath.Join(h.root, env.Cgroup), name)
			if err != nil {
				continue // another hierarchy's, or no group
			}
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				v.Memory = n
			}
		}
	}
	return nil
}
