package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// ownAddrs are the host's.
var ownAddrs addrList

// OwnAddrs lists the addresses of the host's interfaces, with their networks, as they
// are now. What it returns is not to be changed.
func OwnAddrs() ([]netip.Prefix, error) { return ownAddrs.list() }

// An addrList remembers the addresses of the network namespace in which it is asked
// first. Each connection is judged by them, and to list them takes a millisecond, so
// they are listed when the kernel says that they have changed: it puts the notice into
// the socket before the change itself returns; see rtnetlink(7), RTMGRP_IPV4_IFADDR.
type addrList struct {
	mu      sync.Mutex
	notices int // a socket; 0 before there is one
	addrs   []netip.Prefix
	listed  bool // and nothing has changed since
}

func (l *addrList) list() ([]netip.Prefix, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.hear(); err != nil {
		l.close()
		return nil, fmt.Errorf("hear of changes of the host's own addresses: %w", err)
	}
	if l.listed {
		return l.addrs, nil
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the host's own addresses: %w", err)
	}
	var addrs []netip.Prefix
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, p)
		}
	}
	l.addrs, l.listed = addrs, true
	return addrs, nil
}

// hear takes all notices that there are. l.mu is held.
func (l *addrList) hear() error {
	if l.notices == 0 {
		if err := l.subscribe(); err != nil {
			return err
		}
	}
	b := make([]byte, 1) // that there is one is all that it says
	for {
		switch _, _, err := unix.Recvfrom(l.notices, b, unix.MSG_DONTWAIT); {
		case err == nil, errors.Is(err, unix.ENOBUFS): // or there were too many for it
			l.listed = false
		case errors.Is(err, unix.EAGAIN):
			return nil
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

func (l *addrList) subscribe() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}
	if err := unix.Bind(fd, to); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	l.notices, l.listed = fd, false
	return nil
}

// close forgets all; the next question begins anew. l.mu is held.
func (l *addrList) close() {
	if l.notices != 0 {
		_ = unix.Close(l.notices)
	}
	l.notices, l.listed = 0, false
}
