// Package hosts is the one list of kinds as the daemon sees them: the halves
// that touch the machine, wired to each other. Package words is its twin for
// the command line; a test holds them together.
package hosts

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/check/trial"
	files "blast.example/blast/runtime/filesystem/host"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network/gate"
	"blast.example/blast/runtime/packages/cachedir"
	"blast.example/blast/runtime/packages/generation"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/runtime/ttl/deadline"
)

// initName is the program that becomes PID 1 of each sandbox; it lies beside the
// running program.
const initName = "blast-init"

// All returns the host half of every kind, by its name.
func All(log *slog.Logger) (map[string]kinds.Host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", initName, err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, fmt.Errorf("find %s: %w", initName, err)
	}
	return With(filepath.Join(filepath.Dir(self), initName), cachedir.Path("wheels"), log), nil
}

// With is All for an init and a cache of wheels elsewhere.
func With(init, wheels string, log *slog.Logger) map[string]kinds.Host {
	return map[string]kinds.Host{
		"resource":   cgroup.New(log),
		"network":    gate.New(log),
		"packages":   generation.New(wheels),
		"process":    host.New(init),
		"filesystem": files.New(log, cgroup.Host{}),
		"check":      trial.Host{},
		"ttl":        deadline.Host{},
	}
}
