package relay

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/who"
)

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and
// IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const soOriginalDst = 80

// originalDst asks the kernel where a redirected connection wanted to go.
func originalDst(c *net.TCPConn) (netip.AddrPort, error) {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%T is no TCP address", c.LocalAddr())
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var dst netip.AddrPort
	var got error
	err = raw.Control(func(fd uintptr) {
		if local.IP.To4() != nil {
			dst, got = originalDst4(int(fd))
		} else {
			dst, got = originalDst6(int(fd))
		}
	})
	if err == nil {
		err = got
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for the original destination: %w", err)
	}
	return dst, nil
}

// originalDst4 gets a sockaddr_in in the first half of a struct that x/sys can read.
func originalDst4(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := m.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

func originalDst6(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	// The port is in network order in memory, whatever the machine's.
	port := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, m.Addr.Port))
	return netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr), port), nil
}

// socketOf is the connection as the process has it.
func socketOf(c *net.TCPConn, dst netip.AddrPort) who.Socket {
	s := who.Socket{Proto: "tcp", Remote: dst}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		s.Local = a.AddrPort()
	}
	return s
}
