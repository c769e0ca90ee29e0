//go:build linux

// Blast-init is PID 1 of every sandbox. It starts commands on request, hands
// back how they ended, and reaps what they leave behind.
//
// It runs as the same user as the commands, without any capability, under the
// same seccomp filters, so there is nothing to gain from it. What it has and
// they don't is a listening socket, made by the daemon outside of the sandbox's
// view and inherited as descriptor 3; see package wire for what is said on it.
//
// One thread does all the work from one epoll loop. It never starts a thread
// later on: a fork bomb that fills the sandbox's pids limit would make that
// fail, and the Go runtime dies of it.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Descriptors that the daemon passes to PID 1.
const (
	listenFD  = 3 // listening unix(7) stream socket
	filtersFD = 4 // seccomp programs, see loadFilters
	statusFD  = 5 // a pipe: readyByte when commands are welcome, else an error in words
)

const readyByte = 0

func main() {
	if len(os.Args) > 0 && os.Args[0] == shimName {
		shim(os.Args[1:]) // returns only if it failed
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "blast-init is started by blastd as PID 1 of a sandbox")
		os.Exit(2)
	}
	l, err := start()
	if err != nil {
		_, _ = unix.Write(statusFD, []byte(err.Error()))
		os.Exit(1)
	}
	_, _ = unix.Write(statusFD, []byte{readyByte})
	_ = unix.Close(statusFD)
	l.run()
}

// The name of a process is that of its first thread, and only there start is run.
func init() { runtime.LockOSThread() }

// start makes the process fit to meet strangers. The order matters: nothing may
// be able to look into it before the first line, and no filter may be missing
// when the first connection is taken.
func start() (*loop, error) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set non-dumpable: %w", err)
	}
	if err := setName("blast-init"); err != nil { // its file has another name in the sandbox
		return nil, fmt.Errorf("set name: %w", err)
	}
	runtime.UnlockOSThread()
	for fd := listenFD; fd <= statusFD; fd++ {
		unix.CloseOnExec(fd)
	}
	unix.Umask(0o022)
	wake, err := childSignals()
	if err != nil {
		return nil, err
	}
	warmThreads()
	if err := loadFilters(filtersFD); err != nil {
		return nil, fmt.Errorf("load seccomp filters: %w", err)
	}
	if on, err := unix.GetsockoptInt(listenFD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on != 1 {
		return nil, fmt.Errorf("descriptor %d is no listening socket", listenFD)
	}
	return newLoop(listenFD, wake, id())
}

// setName is what ps(1) shows.
func setName(name string) error {
	b, err := unix.ByteSliceFromString(name)
	if err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

// id is the name that the daemon gave this sandbox.
func id() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	return ""
}

// errnoText is the kernel's word for err, without Go's names of operations.
func errnoText(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return err.Error()
}
