//go:build linux

package command

import (
	"bytes"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// FuzzReadFrame: whatever a sandbox's init sends, with however many descriptors, is one
// frame of the protocol with one descriptor at most, or refused; no descriptor is left.
func FuzzReadFrame(f *testing.F) {
	for n, b := range [][]byte{
		wire.Frame(wire.Exited, wire.Exit{Value: 3}.Append(nil)), wire.Frame(wire.Started, nil), wire.Frame(wire.Ready, []byte("0123456789ab")),
		wire.Frame(wire.Failed, wire.Failure{Code: wire.CodeNotFound, Message: "no"}.Append(nil)), wire.Frame(wire.Started, nil)[:5], nil, []byte("HTTP/1.1 200 OK\r\n\r\n"),
	} {
		f.Add(b, byte(n))
		f.Add(b, byte(0))
	}
	dev, err := os.Open(os.DevNull)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = dev.Close() })
	f.Fuzz(func(t *testing.T, b []byte, files byte) {
		var fds []int
		for range int(files) % 40 {
			fds = append(fds, int(dev.Fd()))
		}
		before := open(t)
		k, payload, file, err := framed(t, b, fds)
		if err == nil && (!bytes.HasPrefix(b, wire.Frame(k, payload)) || len(payload) > wire.MaxReply || len(fds) > 1 || (file != nil) != (len(fds) == 1)) {
			t.Errorf("%q of %d bytes, %v of %d descriptors: %x", k, len(payload), file, len(fds), b)
		}
		if err != nil && file != nil {
			t.Errorf("a descriptor beside %v", err)
		}
		if file != nil {
			_ = file.Close()
		}
		if after := open(t); after != before {
			t.Errorf("%d descriptors were open, and now %d: %x with %d", before, after, b, len(fds))
		}
	})
}

// framed reads a frame that somebody sends.
func framed(t *testing.T, b []byte, fds []int) (wire.Kind, []byte, *os.File, error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = unix.Sendmsg(pair[0], b, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		_ = unix.Close(pair[0])
	}()
	file := os.NewFile(uintptr(pair[1]), "pair")
	c, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	k, payload, got, err := readFrame(c.(*net.UnixConn))
	_ = c.Close()
	<-sent
	return k, payload, got, err
}

// open counts the descriptors of this process.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
