package ping

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// An outside is a raw socket on the host's network that hears echo replies only; raw(7).
type outside struct {
	conn           net.PacketConn
	is4            bool
	protocol       int
	request, reply icmp.Type
}

type family struct {
	network        string
	protocol       int
	request, reply icmp.Type
	filter         func(net.PacketConn) error
}

func families() []family {
	fs := []family{{"ip4:icmp", unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, func(c net.PacketConn) error {
		f := &ipv4.ICMPFilter{}
		f.SetAll(true)
		f.Accept(ipv4.ICMPTypeEchoReply)
		return ipv4.NewPacketConn(c).SetICMPFilter(f)
	}}}
	if netns.HasIPv6() {
		fs = append(fs, family{"ip6:ipv6-icmp", unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, func(c net.PacketConn) error {
			f := &ipv6.ICMPFilter{}
			f.SetAll(true)
			f.Accept(ipv6.ICMPTypeEchoReply)
			return ipv6.NewPacketConn(c).SetICMPFilter(f)
		}})
	}
	return fs
}

func (f family) listen() (*outside, error) {
	c, err := net.ListenPacket(f.network, "")
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	if err := f.filter(c); err != nil {
		return nil, errors.Join(fmt.Errorf("filter raw socket: %w", err), c.Close())
	}
	return &outside{c, f.protocol == unix.IPPROTO_ICMP, f.protocol, f.request, f.reply}, nil
}

// inside are raw sockets in the sandbox's namespace, for packets with a source that is
// not there.
type inside struct{ fd4, fd6 int }

func openInside(ns *os.File) (*inside, error) {
	in := &inside{-1, -1}
	err := netns.Do(ns, func() (err error) {
		if in.fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW); err != nil || !netns.HasIPv6() {
			return err
		}
		in.fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		in.close()
		return nil, fmt.Errorf("open raw socket in the network namespace: %w", err)
	}
	return in, nil
}

func (in *inside) close() {
	for _, fd := range []int{in.fd4, in.fd6} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// reply gives an answer to who asked. It may be lost, as any packet.
func (in *inside) reply(e echo) {
	b, err := e.packet()
	if err != nil {
		return
	}
	if e.dst.Is4() {
		_ = unix.Sendto(in.fd4, b, 0, &unix.SockaddrInet4{Addr: e.dst.As4()})
		return
	}
	_ = unix.Sendto(in.fd6, b, 0, &unix.SockaddrInet6{Addr: e.dst.As16()})
}
