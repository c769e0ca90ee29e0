package mounts

import "blast.example/blast/state"

// MemoryAble says why layers can't be in memory here.
func MemoryAble(env state.Env) error { return memories{env}.able(env) }

// NoImages makes this process believe that the host has no loop devices, until undo is
// called.
func NoImages() (undo func()) {
	was := loopControl
	loopControl = "/dev/no-such-loop-control"
	return func() { loopControl = was }
}
