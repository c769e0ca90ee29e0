package daemon

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A daemon without a descriptor left waits for one: it holds the only ways out of its
// sandboxes.
func TestOutOfDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	restore := noDescriptors(t)
	if _, err := ln.AcceptUnix(); !errors.Is(err, unix.EMFILE) {
		restore()
		t.Fatalf("control: %v, want EMFILE", err)
	}
	type accepted struct {
		c   *net.UnixConn
		err error
	}
	out := make(chan accepted, 1)
	go func() { c, err := acceptNext(ln); out <- accepted{c, err} }()
	select {
	case a := <-out:
		t.Errorf("without a descriptor: %v, %v", a.c, a.err)
	case <-time.After(3 * acceptAgain):
	}
	restore()
	a := <-out
	if a.err != nil {
		t.Fatal(a.err)
	}
	_ = a.c.Close()
	_ = ln.Close()
	if _, err := acceptNext(ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// noDescriptors lets this process open nothing.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: l.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Error(err)
		}
	}
}
