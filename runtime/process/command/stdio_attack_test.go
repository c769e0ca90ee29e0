//go:build linux

package command_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/command/wire"
)

// A socket stays in the network namespace that it was made in: with one of the
// host's for its stdin, as inetd(8) and systemd give it to what they start, a
// command could connect to wherever the host can.
func TestSocketsOfTheHostAreNotPassed(t *testing.T) {
	_, socket := start(t)
	secret, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secret.Close() }()
	go func() {
		for {
			c, err := secret.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "SECRET\n")
			_ = c.Close()
		}
	}()
	port := secret.Addr().(*net.TCPAddr).Port
	reconnect := fmt.Sprintf(`
import ctypes, socket, struct, sys
libc = ctypes.CDLL(None)
libc.connect(0, struct.pack("=H14x", 0), 16)  # AF_UNSPEC ends the connection
s = socket.socket(fileno=0)
s.connect(("127.0.0.1", %d))
print(s.recv(16).decode())
`, port)
	tcp, err := net.Dial("tcp", secret.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	code, out, err := run(t, socket, command.Request{Args: []string{"python3", "-c", reconnect}, Stdin: fileOf(t, tcp.(*net.TCPConn))})
	if code != wire.CodeFailed || err == nil || strings.Contains(out, "SECRET") {
		t.Errorf("a TCP socket: %d %q %v", code, out, err)
	}

	abstract, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: fmt.Sprintf("@blast-test-%d", os.Getpid()), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = abstract.Close() }()
	datagrams := pairOf(t, unix.SOCK_DGRAM)
	code, out, err = run(t, socket, command.Request{Stdin: datagrams[0], Args: []string{"python3", "-c", fmt.Sprintf(`
import socket
s = socket.socket(fileno=0)
s.connect("\0blast-test-%d")
print("SECRET")
`, os.Getpid())}})
	if code != wire.CodeFailed || err == nil || strings.Contains(out, "SECRET") {
		t.Errorf("a datagram socket: %d %q %v", code, out, err)
	}
	if k, b := raw(t, socket, wire.Command{Args: []string{"true"}, Dir: "/"}, unconnected(t), datagrams[1], datagrams[1]); k != wire.Failed || !bytes.Contains(b, []byte("socket")) {
		t.Errorf("a socket that is not connected: %q %q", k, b)
	}

	stream := pairOf(t, unix.SOCK_STREAM) // as Node and journald give
	if _, err := stream[1].WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if code, out, err := run(t, socket, command.Request{Args: []string{"head", "-n1"}, Stdin: stream[0]}); code != 0 || out != "hello\n" {
		t.Errorf("control: %d %q %v", code, out, err)
	}
}

func fileOf(t *testing.T, c *net.TCPConn) *os.File {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func pairOf(t *testing.T, kind int) [2]*os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var fs [2]*os.File
	for i, fd := range fds {
		fs[i] = os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { _ = fs[i].Close() })
	}
	return fs
}

func unconnected(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = f.Close() })
	return f
}
