//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // device rules, without which libcontainer starts nothing
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo/task"
	"blast.example/blast/state"
)

// limiting are the hierarchies of cgroup v1 in which the resource kind sets
// limits, and the only one of v2.
var limiting = []string{"cpu", "memory", "pids", "blkio", ""}

// leaf is the sandbox's cgroup, below the mount point of each hierarchy.
func leaf(env state.Env, id string) string { return filepath.Join(env.Cgroup, id) }

// leafFolders are the folders of the sandbox's cgroup, by controller; the one of
// cgroup v2 is "".
func leafFolders(env state.Env, id string) (map[string]string, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: leaf(env, id), Resources: &cgroups.Resources{}})
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	return m.GetPaths(), nil
}

// limits reports whether the resource kind's limits are set in this hierarchy.
// On a hybrid machine v2 is there, but holds no controller of ours.
func limits(controller string) bool {
	return slices.Contains(limiting, controller) && (controller != "" || cgroups.IsCgroup2UnifiedMode())
}

// checkParents makes sure that the limits are there before a process is.
// libcontainer would make the folders, without limits.
func checkParents(folders map[string]string) error {
	for _, c := range slices.Sorted(maps.Keys(folders)) {
		if !limits(c) {
			continue
		}
		if _, err := os.Stat(filepath.Dir(folders[c])); err != nil {
			return fmt.Errorf("the environment's cgroup, which holds its limits, is missing: %w", err)
		}
	}
	return nil
}

// killTime is how long processes may take to die of SIGKILL.
const killTime = 10 * time.Second

// killAll ends every process in the folders and returns when they are gone.
func killAll(ctx context.Context, folders map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	for {
		n, err := killRound(ctx, folders)
		if err != nil || n == 0 {
			return err
		}
	}
}

// initsFirst puts those first with which all others of their pid namespace end. An init that
// outlived a command would say that the command was killed, and not that its sandbox ended.
func initsFirst(pids []int) {
	first := map[int]int{}
	for _, pid := range pids {
		first[pid] = 1
		if f, err := task.Open(pid); err == nil {
			if p, ok := f.Process(); ok && p.PID == 1 {
				first[pid] = 0
			}
			f.Close()
		}
	}
	slices.SortStableFunc(pids, func(a, b int) int { return first[a] - first[b] })
}

// killRound ends those that are there, and returns how many they were. All are signalled
// before the first is waited for: an init ends after all others of its namespace. A pidfd
// says that it is still the same process, and it is killed only if it is still in the
// cgroup.
func killRound(ctx context.Context, folders map[string]string) (int, error) {
	held, err := hold(folders)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, f := range held {
			_ = f.Close()
		}
	}()
	now, err := processesIn(folders)
	if err != nil {
		return 0, err
	}
	initsFirst(now)
	for _, pid := range now {
		f := held[pid]
		if f == nil {
			continue // for the next round
		}
		if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, fmt.Errorf("kill process %d: %w", pid, err)
		}
		letDie(folders, pid)
	}
	for _, pid := range now {
		if f := held[pid]; f != nil {
			if err := waitEnd(ctx, int(f.Fd())); err != nil {
				return 0, fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
	}
	return len(now), ctx.Err()
}

func processesIn(folders map[string]string) ([]int, error) {
	all := map[int]bool{}
	for _, dir := range folders {
		pids, err := cgroups.GetAllPids(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return nil, fmt.Errorf("list processes of cgroup: %w", err)
		}
		for _, pid := range pids {
			all[pid] = true
		}
	}
	delete(all, 0) // of a PID namespace that we can't see
	return slices.Sorted(maps.Keys(all)), nil
}

// frozen reports whether the processes in the folders stand still, or are about to.
func frozen(folders map[string]string) bool {
	if dir := folders["freezer"]; dir != "" {
		if b, err := os.ReadFile(filepath.Join(dir, "freezer.state")); err == nil && strings.TrimSpace(string(b)) != "THAWED" {
			return true
		}
	}
	b, err := os.ReadFile(filepath.Join(folders[""], "cgroup.events"))
	return err == nil && strings.Contains(string(b), "frozen 1")
}

// letDie lets a process die that was sent SIGKILL: one that stands still dies of it on
// cgroup v2, and on v1 only elsewhere. It dies before it does anything else, and the
// others stand still on.
func letDie(folders map[string]string, pid int) {
	dir := folders["freezer"]
	if dir == "" || !frozen(folders) {
		return
	}
	for parent := filepath.Dir(dir); strings.HasPrefix(parent, hierarchyRoot+"/"); parent = filepath.Dir(parent) {
		dir = parent
	}
	_ = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) //nolint:gosec // an existing kernel file
}

// waitEnd waits until the process of a pidfd has ended: only then is the pidfd
// readable.
func waitEnd(ctx context.Context, fd int) error {
	for ctx.Err() == nil {
		left := 100 * time.Millisecond // how often to look at ctx
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left/time.Millisecond))
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return err
		}
	}
	return fmt.Errorf("it does not die: %w", ctx.Err())
}

// removeFolders removes the leaf everywhere, and its parent where only
// libcontainer can have made it.
func removeFolders(folders map[string]string) error {
	if err := cgroups.RemovePaths(maps.Clone(folders)); err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	for c, dir := range folders {
		if limits(c) {
			continue
		}
		for dir = filepath.Dir(dir); strings.Count(dir, "/") > strings.Count(hierarchyRoot, "/")+1; dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil { // not empty: somebody else's
				break
			}
		}
	}
	return nil
}

// hierarchyRoot is what the hierarchies are mounted below.
const hierarchyRoot = "/sys/fs/cgroup"

// leavesOf lists the ids for which a leaf exists in any hierarchy.
func leavesOf(env state.Env) ([]string, error) {
	folders, err := leafFolders(env, "0")
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, dir := range folders {
		es, err := os.ReadDir(filepath.Dir(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		for _, e := range es {
			if e.IsDir() && IsID(e.Name()) {
				ids = append(ids, e.Name())
			}
		}
	}
	return ids, nil
}
