//go:build linux

package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// spawn starts a command in a session of its own. fds are the passed ones of
// stdin, stdout and stderr, in that order, and stay the caller's. master is the
// pty's, or -1.
func spawn(cmd *wire.Command, fds []int) (pid, master int, failure *wire.Failure) {
	for i, fd := range fds {
		if err := checkStdio(fd); err != nil {
			return 0, -1, &wire.Failure{Code: wire.CodeFailed, Message: fmt.Sprintf("descriptor %d of stdio: %v", i, err)}
		}
	}
	path, failure := lookUp(cmd)
	if failure != nil {
		return 0, -1, failure
	}
	master, slave := -1, -1
	if cmd.Terminal != 0 {
		var err error
		if master, slave, err = openPTY(cmd.Rows, cmd.Cols); err != nil {
			return 0, -1, &wire.Failure{Code: wire.CodeFailed, Message: "open a terminal: " + errnoText(err)}
		}
		defer func() { _ = unix.Close(slave) }()
	}
	pid, err := forkExec(path, cmd, stdio(cmd, fds, slave))
	if err != nil {
		if master >= 0 {
			_ = unix.Close(master)
		}
		return 0, -1, execFailure(cmd.Args[0], err)
	}
	volunteer(pid)
	return pid, master, nil
}

// commandOOMScoreAdj is proc_pid_oom_score_adj(5) of commands: half of the memory that
// there is, more than PID 1 ever takes.
const commandOOMScoreAdj = "500"

// volunteer has a command, and what it starts, killed for want of memory before PID 1,
// whose end is the end of all. Among many small processes the kernel would take
// whichever is the largest. What can't be written, as of a program that nobody may
// read, stays as it is; so may a command lower it again, at its own cost.
func volunteer(pid int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(commandOOMScoreAdj))
	_ = unix.Close(fd)
}

// checkStdio refuses what must not enter a sandbox. From a folder, openat(2)
// with ".." walks the host. On the person's own terminal, ioctl(2) could type
// commands (TIOCSTI) and read what others print.
func checkStdio(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("a folder can't be passed into a sandbox")
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		return fmt.Errorf("the host's terminal can't be passed into a sandbox")
	}
	if st.Mode&unix.S_IFMT == unix.S_IFSOCK && !connectedStream(fd) {
		return fmt.Errorf("a socket of the host's network can't be passed into a sandbox")
	}
	return nil
}

// connectedStream reports whether a socket is one end of a connection between
// processes (unix(7)), which can't be connected anew. All others can, and that
// in the network namespace that they were made in.
func connectedStream(fd int) bool {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || family != unix.AF_UNIX {
		return false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	_, err = unix.Getpeername(fd)
	return err == nil
}

// stdio lays out the child's descriptors 0, 1 and 2.
func stdio(cmd *wire.Command, fds []int, slave int) []uintptr {
	files := make([]uintptr, 3)
	for i := range files {
		if cmd.Terminal&(1<<i) != 0 {
			files[i] = uintptr(slave)
			continue
		}
		files[i] = uintptr(fds[0])
		fds = fds[1:]
	}
	return files
}

func forkExec(path string, cmd *wire.Command, files []uintptr) (int, error) {
	attr := &syscall.ProcAttr{Dir: cmd.Dir, Env: cmd.Env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}}
	for fd := range 3 {
		if cmd.Terminal&(1<<fd) != 0 {
			attr.Sys.Setctty, attr.Sys.Ctty = true, fd
			break
		}
	}
	argv := cmd.Args
	if len(cmd.Rlimits) > 0 {
		argv = shimArgs(cmd.Rlimits, path, argv)
		path = self
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err == syscall.ENOEXEC {
		// A script without "#!": execvp(3) and every shell give it to sh.
		return syscall.ForkExec(shell, append([]string{shell, path}, argv[1:]...), attr)
	}
	return pid, err
}

const shell = "/bin/sh"

func execFailure(name string, err error) *wire.Failure {
	f := &wire.Failure{Code: wire.CodeNotExecutable, Message: name + ": " + errnoText(err)}
	switch e, _ := errors.AsType[syscall.Errno](err); e {
	case syscall.ENOENT:
		f.Code, f.Message = wire.CodeNotFound, name+": its interpreter was not found"
	case syscall.EAGAIN, syscall.ENOMEM, syscall.ENFILE, syscall.EMFILE:
		f.Code, f.Message = wire.CodeFailed, "start "+name+": the sandbox is at its limit of processes or memory"
	}
	return f
}

// openPTY makes a terminal of the sandbox's own /dev/pts. See pty(7).
func openPTY(rows, cols uint16) (master, slave int, err error) {
	master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(master)
		}
	}()
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, -1, err
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		return -1, -1, err
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return -1, -1, err
	}
	slave, err = unix.Open("/dev/pts/"+strconv.Itoa(int(n)), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	return master, slave, err
}
