package gate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"blast.example/blast/runtime/network/gate/netns"
)

// sockets are those that the gate holds inside a namespace.
type sockets struct {
	dnsUDP, relayUDP []*net.UDPConn
	dnsTCP, relayTCP []*net.TCPListener
}

// listen makes the sockets. They stay in the namespace wherever the goroutines
// that use them run.
func listen(ns *os.File) (*sockets, error) {
	s := &sockets{}
	err := netns.Do(ns, func() error {
		hosts := []netip.Addr{netns.Loopback4}
		if netns.HasIPv6() {
			hosts = append(hosts, netns.Loopback6)
		}
		for _, host := range hosts {
			if err := s.listenAt(host); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.close()
		return nil, fmt.Errorf("listen inside the network namespace: %w", err)
	}
	return s, nil
}

func (s *sockets) listenAt(host netip.Addr) error {
	var errs []error
	udp := func(port uint16, to *[]*net.UDPConn) {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, port)))
		if err == nil {
			*to = append(*to, c)
		}
		errs = append(errs, err)
	}
	tcp := func(port uint16, to *[]*net.TCPListener) {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(host, port)))
		if err == nil {
			*to = append(*to, l)
		}
		errs = append(errs, err)
	}
	udp(netns.DNSPort, &s.dnsUDP)
	tcp(netns.DNSPort, &s.dnsTCP)
	tcp(netns.TCPPort, &s.relayTCP)
	udp(netns.UDPPort, &s.relayUDP)
	return errors.Join(errs...)
}

func (s *sockets) close() {
	for _, c := range append(s.dnsUDP, s.relayUDP...) {
		_ = c.Close()
	}
	for _, l := range append(s.dnsTCP, s.relayTCP...) {
		_ = l.Close()
	}
}
