//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxFilters bounds the seccomp programs, in bytes. One of 4096 instructions,
// the kernel's own limit, is 32 KiB.
const maxFilters = 128 << 10

// loadFilters puts the process, and so all that it ever starts, under the
// seccomp programs in fd: for each a little-endian uint16 number of
// instructions, then the instructions as the kernel takes them
// (struct sock_filter). They were compiled by the daemon, once for all sandboxes.
func loadFilters(fd int) error {
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || nnp != 1 {
		return errors.New("no_new_privs is not set")
	}
	f := os.NewFile(uintptr(fd), "filters")
	defer func() { _ = f.Close() }()
	b := make([]byte, maxFilters)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return err
	}
	b = b[:n]
	if n == 0 || n == maxFilters {
		return fmt.Errorf("%d bytes of programs", n)
	}
	for len(b) > 0 {
		if b, err = loadFilter(b); err != nil {
			return err
		}
	}
	return nil
}

// loadFilter loads the first program of b and returns the rest.
func loadFilter(b []byte) ([]byte, error) {
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(b) < 2 {
		return nil, errors.New("short program")
	}
	n := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	if n == 0 || n*size > len(b) {
		return nil, errors.New("short program")
	}
	prog := make([]unix.SockFilter, n)
	for i := range prog {
		p := b[i*size:]
		prog[i] = unix.SockFilter{Code: binary.LittleEndian.Uint16(p), Jt: p[2], Jf: p[3], K: binary.LittleEndian.Uint32(p[4:])}
	}
	fprog := unix.SockFprog{Len: uint16(n), Filter: &prog[0]}
	// TSYNC: all threads of the runtime, too.
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return nil, errno
	}
	if r != 0 {
		return nil, fmt.Errorf("thread %d can't be put under the filter", r)
	}
	return b[n*size:], nil
}

// childSignals arranges that the returned descriptor becomes readable when a
// child ends, and that no other signal from inside the sandbox reaches PID 1.
//
// Go's own handlers must not stay: the runtime dies of many signals, and a
// command of the same user could send SIGABRT, or a SIGSEGV by sigqueue(3) that
// looks like a fault of our own. Nor may the default action: the kernel spares
// PID 1 from that (pid_namespaces(7)), but forgets to when the signal is blocked
// in the first thread and not in another, as during every fork (complete_signal
// in kernel/signal.c, seen on Linux 6.1). So they are ignored.
//
// Commands get the default for all. The runtime resets in each child what it
// believes to have a handler for, and is left in that belief. Signals that it
// leaves alone (32 and 34, which C libraries use) get a handler that does
// nothing, as execve(2) resets handlers.
func childSignals() (int, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, fmt.Errorf("make eventfd: %w", err)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c) // all: also those that the daemon was started to ignore
	go func() {
		one := binary.NativeEndian.AppendUint64(nil, 1)
		for range c {
			_, _ = unix.Write(wake, one)
		}
	}()
	nothing, err := action(int(unix.SIGURG), nil) // for its flags and its restorer
	if err != nil {
		return 0, fmt.Errorf("read signal handler: %w", err)
	}
	nothing[0] = nothingPC
	for sig := 1; sig <= 64; sig++ {
		switch unix.Signal(sig) {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG: // not to be had; of use, the last to the runtime
			continue
		}
		if err := shut(sig, nothing); err != nil {
			return 0, fmt.Errorf("ignore signal %d: %w", sig, err)
		}
	}
	return wake, nil
}

// A sigaction is the kernel's struct, see rt_sigaction(2): handler, flags,
// restorer, mask.
type sigaction [4]uint64

// ignored is SIG_IGN; a lower handler is SIG_DFL, a higher one a function.
var ignored = sigaction{1}

// nothingPC is where the handler that does nothing is; see nothing.s.
var nothingPC uint64

// shut ignores a signal without the runtime's knowledge, or handles it by doing
// nothing if the runtime has no handler for it.
func shut(sig int, nothing sigaction) error {
	now, err := action(sig, nil)
	if err != nil {
		return err
	}
	to := ignored
	if now[0] <= ignored[0] {
		to = nothing
	}
	_, err = action(sig, &to)
	return err
}

// action returns what is done at a signal, and changes it if to is not nil.
func action(sig int, to *sigaction) (old sigaction, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	if errno != 0 {
		return old, errno
	}
	return old, nil
}

// spareThreads is more than the loop, the two goroutines of signals, the
// collector and the scheduler's look-ahead ever need at once with one processor.
const spareThreads = 8

// warmThreads makes the runtime start all threads that it will ever need. It
// keeps idle ones for ever. See the package comment.
func warmThreads() {
	runtime.GOMAXPROCS(1)
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC) != nil {
		return
	}
	var wg sync.WaitGroup
	for range spareThreads {
		wg.Go(func() {
			var b [1]byte
			_, _ = unix.Read(fds[0], b[:]) // blocks, so the next one takes another thread
		})
	}
	for n := threads(); n > 0 && n < spareThreads+2; n = threads() {
		runtime.Gosched()
	}
	_ = unix.Close(fds[1])
	wg.Wait()
	_ = unix.Close(fds[0])
}

// threads counts the threads of this process; 0 is unknown.
func threads() int {
	es, _ := os.ReadDir("/proc/self/task")
	return len(es)
}
