package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// apart is the argument with which this program runs in namespaces of its own.
const apart = "apart"

// moveApart runs this program again in a PID and a mount namespace of its own, so
// that the machine's own daemon and sandboxes are not seen, and nothing is left
// when it dies.
func moveApart(args []string, out io.Writer) error {
	runtime.LockOSThread() // whose end would be taken for this program's
	cmd := exec.Command("/proc/self/exe", append([]string{apart}, args...)...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// settle gives the namespaces a /proc that shows their processes, and no daemon.
func settle() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is not for people", apart)
	}
	return errors.Join(
		os.MkdirAll(state.RunRoot, 0o711),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""),
		unix.Mount("tmpfs", state.RunRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0711"),
	)
}
