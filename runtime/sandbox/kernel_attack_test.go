//go:build linux

package sandbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

// Each of these made the kernel load or run code for a protocol that no Python
// project needs, or let a command stop those who work on the same files. They
// must be refused by the filter, before the kernel looks whether it has it.
func init() {
	filter := []error{unix.EPERM}
	tcp, udp := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP), socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	for name, tr := range map[string]try{
		"SCTP socket":         {socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP), tcp, filter},
		"SCTP in packets":     {socket(unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP), tcp, filter},
		"DCCP socket":         {socket(unix.AF_INET6, unix.SOCK_DCCP, unix.IPPROTO_DCCP), udp, filter},
		"MPTCP socket":        {socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), tcp, filter},
		"SMC socket":          {socket(unix.AF_INET, unix.SOCK_STREAM, ipprotoSMC), tcp, filter},
		"UDP-Lite socket":     {socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE), udp, filter},
		"L2TP socket":         {socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_L2TP), udp, filter},
		"ping socket":         {socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP), udp, []error{unix.EACCES}},
		"protocol's high bit": {func() error { return call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 1<<32|unix.IPPROTO_SCTP) }, tcp, filter},
		"TIPC pair":           {pair(unix.AF_TIPC, unix.SOCK_STREAM), pair(unix.AF_UNIX, unix.SOCK_STREAM), filter},
		"SMC pair":            {pair(unix.AF_SMC, unix.SOCK_STREAM), pair(unix.AF_UNIX, unix.SOCK_DGRAM), filter},
		"vsock pair":          {pair(unix.AF_VSOCK, unix.SOCK_DGRAM), pair(unix.AF_UNIX, unix.SOCK_SEQPACKET), filter},
		"init's oom score":    {write("/proc/1/oom_score_adj"), write("/proc/self/oom_score_adj"), eperm},
		"init's id map":       {write("/proc/1/uid_map"), read("/proc/1/uid_map"), nil},
		"own id map":          {write("/proc/self/uid_map"), read("/proc/self/uid_map"), nil},
		"vm_readv of init":    {func() error { return readRemote(1) }, func() error { return readRemote(os.Getpid()) }, eperm},
		"unshare time":        {func() error { return unix.Unshare(unix.CLONE_NEWTIME) }, getpid, eperm},
		"the gate's port":     {bind(53), bind(5353), eperm},
		"io ports":            {func() error { return call(unix.SYS_IOPL, 3) }, getpid, eperm},
		"fanotify":            {func() error { return call(unix.SYS_FANOTIFY_INIT, 0x200, 0) }, getpid, eperm},
		"namespace of a socket": {func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return nil //nolint:nilerr // says that the attempt itself is broken
			}
			return call(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGSKNS, 0)
		}, udp, eperm},
		"lease":           {lease(unix.F_SETLEASE, unix.F_WRLCK), lease(unix.F_GETLEASE, 0), filter},
		"lease, high bit": {lease(1<<32|unix.F_SETLEASE, unix.F_WRLCK), lease(unix.F_GETLEASE, 0), filter},
	} {
		tries[name] = tr
	}
}

// ipprotoSMC is IPPROTO_SMC of linux/in.h, since Linux 6.11.
const ipprotoSMC = 256

func bind(port int) func() error {
	return func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	}
}

// readRemote reads a byte of a process's memory.
func readRemote(pid int) error {
	b := make([]byte, 1)
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&b[0])), Len: 1}}, 0)
	return err
}

func pair(domain, typ int) func() error {
	return func() error {
		fds, err := unix.Socketpair(domain, typ, 0)
		if err == nil {
			_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		}
		return err
	}
}

func lease(cmd, kind uintptr) func() error {
	return onFile(func(_ string, fd int) error { return call(unix.SYS_FCNTL, uintptr(fd), cmd, kind) })
}

// TestHostKeepsItsInotify: the kernel counts a sandbox's inotify instances as
// those of whoever made its user namespace, too, and that is root.
func TestHostKeepsItsInotify(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	held := hold(t, s, `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
n = 0
while n < 4096 and libc.inotify_init() >= 0:
    n += 1
print(n, flush=True)
input()
`)
	if held == "0" || held == "4096" {
		t.Errorf("the sandbox has %s instances", held)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatalf("with %s in the sandbox: %v", held, err)
	}
	_ = unix.Close(fd)
}

// TestHostKeepsItsTimers: likewise queued signals, of which each POSIX timer
// holds one. At the limit of the host's services timer_create(2) fails for root.
func TestHostKeepsItsTimers(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	held := hold(t, s, `
import ctypes, os, signal
libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
n = 0
while libc.sigqueue(os.getpid(), 40, ctypes.c_void_p(1)) == 0:
    n += 1
print(n, flush=True)
input()
`)
	n, err := strconv.Atoi(held)
	if err != nil || n < 64 {
		t.Errorf("the sandbox can queue %s signals", held)
	}
	if limit, err := strconv.Atoi(hostLimit(t, "Max pending signals")); err == nil && n > limit/2 {
		t.Errorf("the sandbox holds %d queued signals of root's %d", n, limit)
	}
}

// hostLimit is a soft limit of the host's PID 1, by its name in
// proc_pid_limits(5).
func hostLimit(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/1/limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Fields(rest)[0]
		}
	}
	t.Fatalf("no %q in %s", name, b)
	return ""
}

// hold runs a Python script that prints a line and waits for the end of the
// test, and returns the line.
func hold(t *testing.T, s *sandbox.Sandbox, script string) string {
	t.Helper()
	in, stop, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = command.Run(t.Context(), sandbox.SocketPath(s.Env, s.ID), command.Request{
			Args: []string{"python3", "-c", script}, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, Stdin: in, Stdout: w,
		})
		_ = w.Close()
	}()
	t.Cleanup(func() { _ = stop.Close(); <-done; _, _ = in.Close(), out.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(errors.Join(errors.New("the script says nothing"), err))
	}
	return strings.TrimSpace(line)
}

// rootMay are the attempts that the user "root" and these capabilities are for;
// all of them reach the sandbox's own ids only.
var rootMay = map[string]bool{"become root": true, "change groups": true, "chown away": true, "setuid program": true}

// TestEscapesOfRoot: the user "root" with all that may be granted is nobody
// outside of its files.
func TestEscapesOfRoot(t *testing.T) {
	env := sandboxtest.Env(t)
	s := withAttempts(t, env, func(spec *sandbox.Spec) {
		spec.User, spec.UID, spec.GID = "root", 0, 0
		spec.Capabilities = []string{"CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"}
	})
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		code, out := output(t, s, "/venv/attempt", name, "attack")
		if want := !rootMay[name]; (code == 1) != want {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
	if err := s.Running(t.Context()); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestHostSocketsAndQueuesAreOthers: what has a name without a file is looked up
// in the sandbox's own namespaces.
func TestHostSocketsAndQueuesAreOthers(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	name := fmt.Sprintf("blast-test-%d", os.Getpid())
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	key := os.Getpid()
	id, _, errno := unix.Syscall(unix.SYS_MSGGET, uintptr(key), unix.IPC_CREAT|0o666, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer func() { _, _, _ = unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0) }()
	code, out := output(t, s, "python3", "-c", fmt.Sprintf(`
import ctypes, socket
libc = ctypes.CDLL(None)
def connect():
    try:
        socket.socket(socket.AF_UNIX).connect("\0%[1]s")
        return True
    except OSError:
        return False
print(connect(), libc.msgget(%[2]d, 0) >= 0)
own = socket.socket(socket.AF_UNIX)
own.bind("\0%[1]s")
own.listen()
libc.msgget(%[2]d, 0o1600)
print(connect(), libc.msgget(%[2]d, 0) >= 0)
`, name, key))
	if code != 0 || out != "False False\nTrue True\n" {
		t.Errorf("%d %q", code, out)
	}
}
