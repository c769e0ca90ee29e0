// Package inside is the folder of an environment that its sandbox sees at /run/blast,
// read-only: where kinds leave what they have to tell to commands. Each writes files of
// its own names there, before the sandbox is made or later; what it writes tells nothing
// about the host.
package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// Dir is where a sandbox sees it.
const Dir = "/run/blast"

const folder = "inside"

// Path is where a file of it is on the host.
func Path(env state.Env, name string) string { return filepath.Join(env.Run, folder, name) }

// Make makes the folder, unless it is there, and returns it. It goes with the run folder,
// which only root may enter.
func Make(env state.Env) (string, error) {
	dir := filepath.Join(env.Run, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder that is shown in the sandbox: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return "", fmt.Errorf("make the folder that is shown in the sandbox: %w", err)
	}
	return dir, nil
}

// Write writes a file of it that anybody in the sandbox may read, in one step.
func Write(env state.Env, name string, b []byte) error {
	if _, err := Make(env); err != nil {
		return err
	}
	path := Path(env, name)
	if dir := filepath.Dir(path); filepath.Base(dir) != folder {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("show %s in the sandbox: %w", name, err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return fmt.Errorf("show %s in the sandbox: %w", name, err)
		}
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, b, 0o644); err != nil { //nolint:gosec // commands of the sandbox have another user
		return fmt.Errorf("show %s in the sandbox: %w", name, err)
	}
	if err := os.Chmod(draft, 0o644); err != nil {
		return fmt.Errorf("show %s in the sandbox: %w", name, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("show %s in the sandbox: %w", name, err)
	}
	return nil
}

// Remove removes files and folders of it, and itself when nothing is left in it.
func Remove(env state.Env, names ...string) error {
	for _, name := range names {
		if err := os.RemoveAll(Path(env, name)); err != nil {
			return fmt.Errorf("remove what is shown in the sandbox: %w", err)
		}
	}
	err := os.Remove(filepath.Join(env.Run, folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("remove what is shown in the sandbox: %w", err)
	}
	return nil
}
