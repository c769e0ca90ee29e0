//go:build linux

package host

import (
	"bytes"
	"encoding/json"
	"os"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/inside"
	"blast.example/blast/state"
)

// tell lets the sandbox know which of its paths a line closes, and how a person opens
// them: all that it could find out by trying. With nothing mounted there is nothing to
// tell.
func tell(env state.Env) error {
	tree, ok, err := mounts.Applied(env)
	if err != nil {
		return err
	}
	if !ok {
		return inside.Remove(env, filesystem.ToldFile)
	}
	b, err := json.Marshal(tree.Told())
	if err != nil {
		return err
	}
	if was, err := os.ReadFile(inside.Path(env, filesystem.ToldFile)); err == nil && bytes.Equal(was, b) {
		return nil
	}
	return inside.Write(env, filesystem.ToldFile, b)
}
