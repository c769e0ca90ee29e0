//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// Destroy ends a sandbox with every process in it and removes all that there is
// of it. It needs no record of what was made, is idempotent, and can be called
// at any point of a Create that died.
func Destroy(ctx context.Context, env state.Env, id string) error {
	if !IsID(id) {
		return fmt.Errorf("destroy sandbox: %q is no id", id)
	}
	folders, err := leafFolders(env, id)
	if err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	expectEnd(env, id)
	// First the door, so that no new command comes in.
	if err := remove(SocketPath(env, id)); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	if err := killAll(ctx, folders); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	if err := killMoved(ctx, env, id); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	if err := removeFolders(folders); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	for _, dir := range []string{filepath.Join(stateRoot(env), id), SkeletonDir(env, id)} {
		if err := removeTree(dir); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
	}
	_ = os.Remove(stateRoot(env)) // only if it is empty
	if err := env.DropNote(endingNote(id)); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	return nil
}

// killMoved ends an init that somebody moved out of its cgroup by hand. Its
// namespace, and every process in it, ends with it.
func killMoved(ctx context.Context, env state.Env, id string) error {
	pid, start, ok := recorded(env, id)
	if !ok {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill init: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	r, err := (&Sandbox{pid: pid, start: start}).Proc()
	if err != nil {
		return nil // the number is another's by now
	}
	_ = r.Close()
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill init: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	return waitEnd(ctx, fd)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeTree removes a folder, but never through a mount: what is mounted there
// may be data.
func removeTree(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			return fmt.Errorf("%s is still mounted", f[4])
		}
	}
	return os.RemoveAll(dir)
}
