// Package hosts is the one list of kinds as the daemon sees them: the halves
// that touch the machine, wired to each other. Package words is its twin for
// the command line; a test holds them together.
package hosts

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network/gate"
	"blast.example/blast/runtime/packages/generation"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/resource/cgroup"
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
	return With(filepath.Join(filepath.Dir(self), initName), wheels(), log), nil
}

// wheels is where unpacked wheels are kept: in the machine's cache folder, which is
// root's (FHS 5.5), or below XDG_CACHE_HOME. It is never a person's: their files
// would be installed as they stand.
func wheels() string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		dir = "/var/cache"
	}
	return filepath.Join(dir, "blast", "wheels")
}

// With is All for an init and a cache of wheels elsewhere.
func With(init, wheels string, log *slog.Logger) map[string]kinds.Host {
	return map[string]kinds.Host{
		"resource":   cgroup.Host{},
		"network":    gate.New(log),
		"packages":   generation.New(wheels),
		"process":    host.New(init),
		"filesystem": mounts.New(log),
	}
}
