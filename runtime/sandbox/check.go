//go:build linux

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"
)

// startOf reads when a process started, in clock ticks after boot: field 22 of
// proc_pid_stat(5). A zombie has ended.
func startOf(r *os.Root) (uint64, error) {
	f, err := statOf(r)
	if err != nil {
		return 0, err
	}
	if f[0] == "Z" || f[0] == "X" {
		return 0, errors.New("process has ended")
	}
	return strconv.ParseUint(f[19], 10, 64)
}

// statOf reads the fields of proc_pid_stat(5) from the third on.
func statOf(r *os.Root) ([]string, error) {
	b, err := readAll(r, "stat")
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before may hold anything
	if len(f) < 50 {
		return nil, errors.New("process has ended")
	}
	return f, nil
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
	have, err := statusOf(r)
	if err != nil {
		return err
	}
	caps := fmt.Sprintf("%016x", capabilityBits(s.config.Capabilities.Bounding))
	for k, want := range map[string]string{
		"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2",
		"CapBnd": caps, "CapPrm": caps, "CapEff": caps, "CapInh": caps, "CapAmb": caps,
	} {
		got, ok := have[k]
		if !ok && k == "Seccomp_filters" { // since Linux 5.9
			continue
		}
		if got != want {
			return fmt.Errorf("%s of init is %q, not %q", k, got, want)
		}
	}
	return nil
}

// statusOf reads a process's status file, with single spaces.
func statusOf(r *os.Root) (map[string]string, error) {
	b, err := readAll(r, "status")
	if err != nil {
		return nil, fmt.Errorf("read status of init: %w", err)
	}
	have := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		have[k] = strings.Join(strings.Fields(v), " ")
	}
	return have, nil
}

// Matches reports how the running sandbox differs from what is wanted of it, as
// far as Load could not know that.
func (s *Sandbox) Matches(uid, gid uint32, capabilities []string, hostname string) error {
	r, err := s.Proc()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	have, err := statusOf(r)
	if err != nil {
		return err
	}
	base := uint32(s.config.UIDMappings[0].HostID)
	for k, id := range map[string]uint32{"Uid": base + uid, "Gid": base + gid} {
		n := strconv.FormatUint(uint64(id), 10)
		if want := strings.Join([]string{n, n, n, n}, " "); have[k] != want { // real, effective, saved, file system
			return fmt.Errorf("%s of init is %s, not %s", k, have[k], want)
		}
	}
	if s.config.Hostname != hostname || !slices.Equal(s.config.Capabilities.Bounding, capabilities) {
		return errors.New("the sandbox was made with another host name or other capabilities")
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
