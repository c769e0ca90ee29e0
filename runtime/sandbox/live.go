//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/state"
	"blast.example/blast/state/backend"
)

// ErrNotRunning is a sandbox that isn't there, or isn't what was made.
var ErrNotRunning = errors.New("sandbox is not running")

// ErrEnded is an ErrNotRunning of one that was there: see Ending.
var ErrEnded = fmt.Errorf("%w: init has ended", ErrNotRunning)

// A Sandbox is one that runs.
type Sandbox struct {
	ID  string
	Env state.Env

	pid    int
	start  uint64
	config configs.Config
}

// Load finds a running sandbox. It reads back from the kernel that its init is
// the process that was started, is Blast's, is as confined as it was made, and
// answers; if not, the error is ErrNotRunning and says what differs.
func Load(ctx context.Context, env state.Env, id string) (*Sandbox, error) {
	c, err := libcontainer.Load(stateRoot(env), id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is none", ErrNotRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: unreadable state: %w", ErrNotRunning, err)
	}
	st, err := c.State()
	if err != nil {
		return nil, fmt.Errorf("%w: unreadable state: %w", ErrNotRunning, err)
	}
	s := &Sandbox{ID: id, Env: env, pid: st.InitProcessPid, start: st.InitProcessStartTime, config: c.Config()}
	if err := s.Running(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// PID is the sandbox's init, as the host counts. The process may end at any
// time: see Proc.
func (s *Sandbox) PID() int { return s.pid }

// Started is when the sandbox's init did.
func (s *Sandbox) Started() time.Time { return backend.AtTick(s.start) }

// Proc opens /proc/PID of the sandbox's init. What is opened below it belongs to
// that very process, or can't be opened any more.
func (s *Sandbox) Proc() (*os.Root, error) {
	r, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(s.pid)))
	if err != nil {
		return nil, ErrEnded
	}
	start, err := startOf(r)
	if err != nil || start != s.start {
		_ = r.Close()
		return nil, ErrEnded
	}
	return r, nil
}

// Running reads back from the kernel what Load promises.
func (s *Sandbox) Running(ctx context.Context) error {
	r, err := s.Proc()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for _, check := range []func(*os.Root) error{s.checkProgram, s.checkRights, s.checkMapping, s.checkNamespace, s.checkCgroup} {
		if err := check(r); err != nil {
			return fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
	}
	if folders, err := leafFolders(s.Env, s.ID); err == nil && frozen(folders) {
		return nil // it can't answer
	}
	if id, err := command.Ping(ctx, SocketPath(s.Env, s.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	} else if id != s.ID {
		return fmt.Errorf("%w: the sandbox %q answers in its place", ErrNotRunning, id)
	}
	return nil
}

// Ended reports whether no process of a sandbox is left, and so none of its mounts. One
// that doesn't answer, or isn't what was made, has not ended.
func Ended(env state.Env, id string) bool {
	folders, err := leafFolders(env, id)
	if err != nil {
		return false
	}
	if pids, err := processesIn(folders); err != nil || len(pids) > 0 {
		return false
	}
	pid, start, ok := recorded(env, id) // somebody may have moved it out of its cgroup
	if !ok {
		return true
	}
	r, err := (&Sandbox{pid: pid, start: start}).Proc()
	if err != nil {
		return true
	}
	_ = r.Close()
	return false
}

// List returns the ids of all sandboxes of the environment of which anything is
// there, running or not, sorted.
func List(env state.Env) ([]string, error) {
	ids, err := leavesOf(env)
	if err != nil {
		return nil, err
	}
	es, err := os.ReadDir(env.Run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	for _, e := range es {
		if id, ok := strings.CutPrefix(e.Name(), skeletonPrefix); ok && IsID(id) {
			ids = append(ids, id)
		}
		if id := IDOfSocket(e.Name()); id != "" {
			ids = append(ids, id)
		}
	}
	es, err = os.ReadDir(stateRoot(env))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	for _, e := range es {
		if IsID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// recorded returns the init that libcontainer has noted, whether it is alive or not.
func recorded(env state.Env, id string) (pid int, start uint64, ok bool) {
	c, err := libcontainer.Load(stateRoot(env), id)
	if err != nil {
		return 0, 0, false
	}
	st, err := c.State()
	if err != nil || st.InitProcessPid <= 0 {
		return 0, 0, false
	}
	return st.InitProcessPid, st.InitProcessStartTime, true
}
