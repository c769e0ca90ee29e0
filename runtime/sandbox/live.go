//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/state"
)

// ErrNotRunning is a sandbox that isn't there, or isn't what was made.
var ErrNotRunning = errors.New("sandbox is not running")

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

// Proc opens /proc/PID of the sandbox's init. What is opened below it belongs to
// that very process, or can't be opened any more.
func (s *Sandbox) Proc() (*os.Root, error) {
	r, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(s.pid)))
	if err != nil {
		return nil, fmt.Errorf("%w: init has ended", ErrNotRunning)
	}
	start, err := startOf(r)
	if err != nil || start != s.start {
		_ = r.Close()
		return nil, fmt.Errorf("%w: init has ended", ErrNotRunning)
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
	if id, err := command.Ping(ctx, SocketPath(s.Env, s.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	} else if id != s.ID {
		return fmt.Errorf("%w: the sandbox %q answers in its place", ErrNotRunning, id)
	}
	return nil
}

// startOf reads when a process started, in clock ticks after boot: field 22 of
// proc_pid_stat(5). A zombie has ended.
func startOf(r *os.Root) (uint64, error) {
	b, err := readAll(r, "stat")
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may hold anything
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return 0, errors.New("process has ended")
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}

func readAll(r *os.Root, name string) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// checkProgram makes sure that PID 1 is the program that was bound into the
// sandbox, as nothing inside can write that.
func (s *Sandbox) checkProgram(*os.Root) error {
	base := filepath.Join("/proc", strconv.Itoa(s.pid))
	exe, err := os.Stat(filepath.Join(base, "exe"))
	if err != nil {
		return fmt.Errorf("look at init's program: %w", err)
	}
	ours, err := os.Stat(filepath.Join(base, "root", initPath))
	if err != nil || !os.SameFile(exe, ours) {
		return errors.New("PID 1 is not blast-init")
	}
	return nil
}

// checkRights reads proc_pid_status(5).
func (s *Sandbox) checkRights(r *os.Root) error {
	b, err := readAll(r, "status")
	if err != nil {
		return fmt.Errorf("read status of init: %w", err)
	}
	have := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		have[k] = strings.Join(strings.Fields(v), " ")
	}
	caps := fmt.Sprintf("%016x", capabilityBits(s.config.Capabilities.Bounding))
	for k, want := range map[string]string{
		"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2",
		"CapBnd": caps, "CapPrm": caps, "CapEff": caps, "CapInh": caps, "CapAmb": caps,
	} {
		if got, ok := have[k]; ok && got != want || !ok && k != "Seccomp_filters" { // Linux 5.9
			return fmt.Errorf("%s of init is %q, not %q", k, got, want)
		}
	}
	return nil
}

// checkMapping makes sure that init is in a user namespace of the ids that were
// meant.
func (s *Sandbox) checkMapping(r *os.Root) error {
	for _, name := range []string{"uid_map", "gid_map"} {
		b, err := readAll(r, name)
		if err != nil {
			return fmt.Errorf("read %s of init: %w", name, err)
		}
		m := s.config.UIDMappings[0]
		want := []string{"0", strconv.FormatInt(m.HostID, 10), strconv.FormatInt(m.Size, 10)}
		if !slices.Equal(strings.Fields(string(b)), want) {
			return fmt.Errorf("%s of init is %q", name, b)
		}
	}
	return nil
}

// checkNamespace makes sure that init is in the network namespace that is pinned
// now. One that was made anew under the same name is another.
func (s *Sandbox) checkNamespace(*os.Root) error {
	pin := s.config.Namespaces.PathOf(configs.NEWNET)
	var want, got unix.Stat_t
	if err := unix.Stat(pin, &want); err != nil {
		return fmt.Errorf("look at network namespace %s: %w", pin, err)
	}
	if err := unix.Stat(filepath.Join("/proc", strconv.Itoa(s.pid), "ns/net"), &got); err != nil {
		return fmt.Errorf("look at init's network namespace: %w", err)
	}
	if want.Dev != got.Dev || want.Ino != got.Ino {
		return errors.New("init is in another network namespace than the environment's")
	}
	return nil
}

// checkCgroup makes sure that init is below the environment's limits.
func (s *Sandbox) checkCgroup(r *os.Root) error {
	b, err := readAll(r, "cgroup")
	if err != nil {
		return fmt.Errorf("read cgroups of init: %w", err)
	}
	for line := range strings.Lines(string(b)) { // 4:memory:/blast/… or 0::/blast/…
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || !slices.ContainsFunc(strings.Split(f[1], ","), limits) {
			continue
		}
		if f[2] != leaf(s.Env, s.ID) {
			return fmt.Errorf("init is in cgroup %s of %q", f[2], f[1])
		}
	}
	return nil
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

// Matches reports how the running sandbox differs from what is wanted of it.
func (s *Sandbox) Matches(uid, gid uint32, capabilities []string, hostname string) error {
	r, err := s.Proc()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	b, err := readAll(r, "status")
	if err != nil {
		return fmt.Errorf("read status of init: %w", err)
	}
	base := uint32(s.config.UIDMappings[0].HostID)
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		want := map[string]uint32{"Uid": base + uid, "Gid": base + gid}
		for _, id := range strings.Fields(v) {
			if n, ok := want[k]; ok && id != strconv.FormatUint(uint64(n), 10) {
				return fmt.Errorf("%s of init is %s, not %d", k, id, n)
			}
		}
	}
	if s.config.Hostname != hostname || !slices.Equal(s.config.Capabilities.Bounding, capabilities) {
		return errors.New("the sandbox was made with another host name or other capabilities")
	}
	return nil
}
