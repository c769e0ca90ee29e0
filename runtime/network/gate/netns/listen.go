package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Sockets are those that a gate holds inside a namespace, at the ports of its layout.
type Sockets struct {
	DNSUDP, RelayUDP []*net.UDPConn
	DNSTCP, RelayTCP []*net.TCPListener
}

// Listen makes the sockets, of IPv4 and, where the kernel has it, IPv6. They stay in the
// namespace wherever the goroutines that use them run.
func Listen(ns *os.File) (*Sockets, error) {
	s := &Sockets{}
	err := Do(ns, func() error {
		hosts := []netip.Addr{Loopback4}
		if HasIPv6() {
			hosts = append(hosts, Loopback6)
		}
		for _, host := range hosts {
			if err := s.listenAt(host); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("listen inside the network namespace: %w", err)
	}
	return s, nil
}

func (s *Sockets) listenAt(host netip.Addr) error {
	var errs []error
	udp := func(port uint16, to *[]*net.UDPConn) {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, port)))
		if err == nil {
			*to = append(*to, c)
		}
		errs = append(errs, err)
	}
	tcp := func(port uint16, to *[]*net.TCPListener) {
		// The other end is in the same kernel, which tells when it goes: nobody has to ask.
		conf := net.ListenConfig{KeepAlive: -1}
		conf.SetMultipathTCP(false) // whose flows would come from several addresses
		l, err := conf.Listen(context.Background(), "tcp", netip.AddrPortFrom(host, port).String())
		if tcp, ok := l.(*net.TCPListener); ok && err == nil {
			*to = append(*to, tcp)
		}
		errs = append(errs, err)
	}
	udp(DNSPort, &s.DNSUDP)
	tcp(DNSPort, &s.DNSTCP)
	tcp(TCPPort, &s.RelayTCP)
	udp(UDPPort, &s.RelayUDP)
	return errors.Join(errs...)
}

// Close gives them back.
func (s *Sockets) Close() {
	for _, c := range append(s.DNSUDP, s.RelayUDP...) {
		_ = c.Close()
	}
	for _, l := range append(s.DNSTCP, s.RelayTCP...) {
		_ = l.Close()
	}
}
