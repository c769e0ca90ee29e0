package ask

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

func namespace(t *testing.T) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	ns, err := netns.Unpinned()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

func open(t *testing.T, ns *os.File, family int) *Socket {
	t.Helper()
	s, err := Open(ns, family)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ofLink asks for an interface by its number, with a struct ifinfomsg.
func ofLink(n uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], n)
	return b
}

func TestAsk(t *testing.T) {
	s := open(t, namespace(t), unix.NETLINK_ROUTE)
	var no *Error
	for range 3 {
		lo, err := s.Ask(unix.RTM_GETLINK, ofLink(1))
		if err != nil || len(lo) < unix.SizeofIfInfomsg || binary.NativeEndian.Uint32(lo[4:]) != 1 {
			t.Errorf("lo is %x, %v", lo, err)
		}
		if _, err := s.Ask(unix.RTM_GETLINK, ofLink(99)); !errors.As(err, &no) || no.Errno != unix.ENODEV {
			t.Errorf("no interface is %v", err)
		}
	}
}

// It is the namespace that is asked, wherever the caller is.
func TestAsksItsNamespace(t *testing.T) {
	ns := namespace(t)
	s, here := open(t, ns, unix.NETLINK_ROUTE), open(t, namespace(t), unix.NETLINK_ROUTE)
	up := func(s *Socket) uint32 {
		t.Helper()
		lo, err := s.Ask(unix.RTM_GETLINK, ofLink(1))
		if err != nil {
			t.Fatal(err)
		}
		return binary.NativeEndian.Uint32(lo[8:]) & unix.IFF_UP
	}
	if err := netns.Plumb(ns); err != nil {
		t.Fatal(err)
	}
	if up(s) == 0 || up(here) != 0 {
		t.Errorf("up: %d there, %d here", up(s), up(here))
	}
}

// A process that may send to the socket doesn't answer for the kernel.
func TestBelievesNoProcess(t *testing.T) {
	ns := namespace(t)
	s := open(t, ns, unix.NETLINK_ROUTE)
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(s.fd)
	if err != nil {
		t.Fatal(err)
	}
	liar := open(t, ns, unix.NETLINK_ROUTE)
	lie := message(unix.RTM_NEWLINK, 1, ofLink(7)) // as the first answer would be
	if err := unix.Sendto(liar.fd, lie, 0, at); err != nil {
		t.Skipf("root may not send either: %v", err)
	}
	if lo, err := s.Ask(unix.RTM_GETLINK, ofLink(1)); err != nil || binary.NativeEndian.Uint32(lo[4:]) != 1 {
		t.Errorf("lo is %x, %v", lo, err)
	}
}

// What doesn't answer is given up.
func TestNoAnswer(t *testing.T) {
	s := open(t, namespace(t), unix.NETLINK_ROUTE)
	var no *Error
	if _, err := s.Ask(unix.NLMSG_NOOP, nil); err == nil || errors.As(err, &no) {
		t.Errorf("%v", err)
	}
	if _, err := s.Ask(unix.RTM_GETLINK, ofLink(1)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(message(unix.NLMSG_ERROR, 1, []byte{0xfe, 0xff, 0xff, 0xff}))
	f.Add(message(unix.NLMSG_ERROR, 1, nil))
	f.Add(message(unix.RTM_NEWLINK, 1, ofLink(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < unix.NLMSG_HDRLEN {
			return
		}
		if body, err := answer(b); err == nil && len(body) > len(b)-unix.NLMSG_HDRLEN {
			t.Errorf("%d bytes of %d", len(body), len(b))
		}
	})
}
