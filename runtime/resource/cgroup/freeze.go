package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

var _ kinds.Freezer = Host{}

// Freeze stops every process of the environment where it is, until Thaw. When it
// returns without an error none runs; else all do. A process that the kernel
// can't stop, as it waits for a device, makes it wait until ctx ends. Where
// nothing runs there is nothing to do.
//
// v2 has cgroup.freeze for that, v1 the freezer controller. On a hybrid machine
// either may be the one that has the processes in it.
func (Host) Freeze(ctx context.Context, env state.Env) error {
	defer standing.lock(env)()
	if err := checkPath(env.Cgroup); err != nil {
		return err
	}
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	all, err := processes(hs, env.Cgroup)
	if err != nil || len(all) == 0 {
		return err
	}
	err = errors.New("this host can't stop the processes of a sandbox: it has neither cgroup.freeze (cgroup v2, Linux 5.2) nor the freezer controller (v1)")
	for _, h := range freezing(hs, env.Cgroup) {
		dir := filepath.Join(h.root, env.Cgroup)
		if err = h.freeze(ctx, dir); err == nil {
			err = h.holds(hs, env.Cgroup) // asked when none comes or goes
		}
		if err == nil {
			return nil
		}
		thaw(dir)
	}
	return err
}

// Thaw lets all processes of the environment go on, whoever stopped them, unless it is
// held.
func (Host) Thaw(_ context.Context, env state.Env) error {
	defer standing.lock(env)()
	if env.Held() != nil {
		return nil
	}
	if err := checkPath(env.Cgroup); err != nil {
		return err
	}
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		thaw(filepath.Join(h.root, env.Cgroup))
	}
	return nil
}

// turns keep a Thaw apart from a Freeze of the same environment: one that is held when
// it is about to be thawed must not be missed.
type turns struct {
	mu sync.Mutex
	of map[string]*sync.Mutex // by id of the environment
}

var standing = turns{of: map[string]*sync.Mutex{}}

func (ts *turns) lock(env state.Env) (unlock func()) {
	ts.mu.Lock()
	one := ts.of[env.ID]
	if one == nil {
		one = &sync.Mutex{}
		ts.of[env.ID] = one
	}
	ts.mu.Unlock()
	one.Lock()
	return one.Unlock
}

// freezing are the hierarchies that can stop the processes of a group, v2 first: it
// tells when it is done.
func freezing(hs []hierarchy, group string) []hierarchy {
	able := slices.DeleteFunc(slices.Clone(hs), func(h hierarchy) bool {
		return !exists(filepath.Join(h.root, group), h.freezeFile())
	})
	slices.SortStableFunc(able, func(a, b hierarchy) int {
		switch {
		case a.v2 == b.v2:
			return 0
		case a.v2:
			return -1
		}
		return 1
	})
	return able
}

func (h hierarchy) freezeFile() string {
	if h.v2 {
		return "cgroup.freeze"
	}
	return "freezer.state"
}

// holds checks that no process of the group is in another hierarchy only.
func (h hierarchy) holds(hs []hierarchy, group string) error {
	all, err := processes(hs, group)
	if err != nil {
		return err
	}
	here, err := processes([]hierarchy{h}, group)
	if err != nil {
		return err
	}
	for _, pid := range all {
		if !slices.Contains(here, pid) {
			return fmt.Errorf("process %d is not in %s%s with the others: somebody moved it", pid, h.root, group)
		}
	}
	return nil
}

// freeze stops what is in dir and below it.
func (h hierarchy) freeze(ctx context.Context, dir string) error {
	how := "FROZEN"
	if h.v2 {
		how = "1"
	}
	if err := writeFile(dir, h.freezeFile(), how); err != nil {
		return fmt.Errorf("stop processes: %w", err)
	}
	var err error
	if h.v2 {
		err = awaitEvent(ctx, dir, "frozen 1")
	} else {
		err = awaitState(ctx, dir, "FROZEN")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not all processes of the sandbox can be stopped now: one waits for a device or a file system: %w", err)
	}
	return err
}

// awaitEvent waits until cgroup.events has a line. Whenever that file changes, it
// is ready with POLLPRI.
func awaitEvent(ctx context.Context, dir, line string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 4096)
	for {
		n, err := f.ReadAt(b, 0)
		if n == 0 && err != nil {
			return err
		}
		if slices.Contains(strings.Split(string(b[:n]), "\n"), line) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, pollSlice); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// pollSlice is how often a wait for the kernel looks at its context, in
// milliseconds.
const pollSlice = 20

// awaitState waits until freezer.state says that all below it is frozen. v1 tells
// nobody when that is: hence the short ticks.
func awaitState(ctx context.Context, dir, state string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		now, err := readFile(dir, "freezer.state")
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it ended
		}
		if err != nil || now == state {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
