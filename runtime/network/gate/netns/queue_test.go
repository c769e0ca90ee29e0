package netns

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullQueueIsCounted: a connection for which the kernel has no place is known, and
// nothing else is.
func TestFullQueueIsCounted(t *testing.T) {
	ns, _ := plumbed(t)
	const room = 4
	var l *net.TCPListener
	err := Do(ns, func() (err error) {
		if l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			return err
		}
		var raw syscall.RawConn
		if raw, err = l.SyscallConn(); err != nil {
			return err
		}
		// Once more: that changes how many may wait; see listen(2).
		if cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), room) }); cerr != nil {
			return cerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dial := func() error {
		return Do(ns, func() error {
			c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
			}
			return err
		})
	}
	for range room {
		if err := dial(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Delayed(ns); err != nil || n != 0 {
		t.Errorf("%d are counted while there is room: %v", n, err)
	}
	failed := uint64(0)
	for range 3 * room {
		if dial() != nil {
			failed++
		}
	}
	if n, err := Delayed(ns); err != nil || failed == 0 || n < failed {
		t.Errorf("%d are counted, %d found no place: %v", n, failed, err)
	}
}

func TestListenDropsOfAnOddTable(t *testing.T) {
	for _, text := range []string{"", "TcpExt:", "TcpExt: A ListenDrops\nTcpExt: 1\n", "TcpExt: ListenDrops\nTcpExt: x\n", "IpExt: ListenDrops\nIpExt: 1\n"} {
		if n, err := listenDrops(text); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
	if n, err := listenDrops("TcpExt: A ListenDrops B\nTcpExt: 1 7 3\nIpExt: A\nIpExt: 1\n"); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
