//go:build linux

package mounts

import (
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/state"
)

// Applied is the tree that was applied last, and whether there is one. What is true of it,
// the kernel says.
func Applied(env state.Env) (t filesystem.Tree, ok bool, err error) {
	ok, err = env.ReadNote(treeNote, &t)
	return t, ok, err
}
