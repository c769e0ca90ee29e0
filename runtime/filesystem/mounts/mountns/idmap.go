//go:build linux

package mountns

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// An IDMap shows the files of one user on disk as those of another. All other
// owners show as nobody (proc_sys_kernel(5), overflowuid), and what they own
// can't be written.
type IDMap struct {
	DiskUID, DiskGID uint32 // as stored in the file system
	HostUID, HostGID uint32 // as whom the host's kernel takes them: the sandbox's user
}

// UserNS makes a user namespace that holds the map. It lives for as long as the
// descriptor or a mount that uses it.
func (m IDMap) UserNS() (*os.File, error) {
	runtime.LockOSThread() // the tracer is a thread, not a process
	defer runtime.UnlockOSThread()
	// Only a process with one thread can enter a new user namespace, so one is
	// started. It is traced, so it stops at execve, before its first instruction.
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"idmap"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: int(m.DiskUID), HostID: int(m.HostUID), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: int(m.DiskGID), HostID: int(m.HostGID), Size: 1}},
			Ptrace:      true,
			Pdeathsig:   syscall.SIGKILL,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make user namespace: %w", err)
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		for {
			var ws unix.WaitStatus
			if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR && (err != nil || ws.Exited() || ws.Signaled()) {
				return
			}
		}
	}()
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil {
		return nil, fmt.Errorf("make user namespace: %w", err)
	}
	return f, nil
}
