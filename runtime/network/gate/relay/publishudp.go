package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// A UDPPublication is a UDP port of a sandbox that the host offers. Each visitor has a
// socket of its own inside, so that answers find the way back.
type UDPPublication struct {
	ns   *os.File
	sock *net.UDPConn

	mu       sync.Mutex
	port     uint16
	visitors map[netip.AddrPort]*visitor
	over     bool
	wg       sync.WaitGroup
}

// A visitor is a source of packets.
type visitor struct {
	inside *net.UDPConn
	used   atomic.Int64 // when a packet went either way, in ns
}

// PublishUDP listens at addr on the host and carries packets to the port of the
// namespace's loopback. It fails if the address is taken.
func PublishUDP(ns *os.File, addr string, port uint16) (*UDPPublication, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("publish UDP port %d at %s: %w", port, addr, err)
	}
	c, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, fmt.Errorf("publish UDP port %d at %s: %w", port, addr, err)
	}
	p := &UDPPublication{ns: ns, port: port, sock: c, visitors: map[netip.AddrPort]*visitor{}}
	p.wg.Go(p.read)
	return p, nil
}

// Retarget leads to another port from now on.
func (p *UDPPublication) Retarget(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.port == port {
		return
	}
	p.port = port
	for _, v := range p.visitors {
		_ = v.inside.Close()
	}
}

// Close ends the publication.
func (p *UDPPublication) Close() {
	p.mu.Lock()
	p.over = true
	_ = p.sock.Close()
	for _, v := range p.visitors {
		_ = v.inside.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *UDPPublication) read() {
	buf := make([]byte, 65536)
	for {
		n, from, err := p.sock.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if v := p.visitor(from); v != nil {
			v.used.Store(time.Now().UnixNano())
			_, _ = v.inside.Write(buf[:n]) // UDP may be lost
		}
	}
}

// visitor finds or makes the socket of a source. There are none for more than maxFlows.
func (p *UDPPublication) visitor(from netip.AddrPort) *visitor {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.visitors[from]; v != nil || p.over || len(p.visitors) >= maxFlows {
		return v
	}
	c, err := p.reach()
	if err != nil {
		return nil
	}
	v := &visitor{inside: c}
	p.visitors[from] = v
	p.wg.Go(func() {
		p.answers(v, from)
		p.mu.Lock()
		delete(p.visitors, from)
		p.mu.Unlock()
		_ = c.Close()
	})
	return v
}

// reach makes a socket of the namespace that leads to the port.
func (p *UDPPublication) reach() (*net.UDPConn, error) {
	d := net.Dialer{Control: socketOfNamespace(p.ns)}
	c, err := d.DialContext(context.Background(), "udp4", netip.AddrPortFrom(netns.Loopback4, p.port).String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// answers sends back what the sandbox says, until nobody said anything for a while.
func (p *UDPPublication) answers(v *visitor, to netip.AddrPort) {
	buf := make([]byte, 65536)
	for {
		_ = v.inside.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := v.inside.Read(buf)
		switch {
		case err == nil:
			v.used.Store(time.Now().UnixNano())
			_, _ = p.sock.WriteToUDPAddrPort(buf[:n], to)
		case errors.Is(err, unix.ECONNREFUSED): // nobody listens there now
		case isTimeout(err) && time.Since(time.Unix(0, v.used.Load())) < udpIdle:
		default:
			return
		}
	}
}
