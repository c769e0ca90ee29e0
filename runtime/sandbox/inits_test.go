//go:build linux

package sandbox

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// An init may have a higher number than what it has started: numbers begin anew after
// kernel.pid_max.
func TestInitsFirst(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a pid namespace")
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	const nobody = 1 << 30
	pids := []int{os.Getpid(), nobody, cmd.Process.Pid}
	initsFirst(pids)
	if !slices.Equal(pids, []int{cmd.Process.Pid, os.Getpid(), nobody}) {
		t.Errorf("%v, want %d first", pids, cmd.Process.Pid)
	}
}
