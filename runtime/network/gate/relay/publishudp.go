package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/traffic"
)

// A UDPPublication is a UDP port of a sandbox that the host offers. Each visitor has a
// socket of its own inside, so that answers find the way back.
type UDPPublication struct {
	relay *Relay // of whose sandbox the port is
	sock  *net.UDPConn
	held  atomic.Int64 // bytes that wait for their turn

	mu       sync.Mutex
	rule     string // "ingress.dns", whose limits hold
	port     uint16
	visitors map[netip.AddrPort]*visitor
	over     bool
	wg       sync.WaitGroup
}

// A visitor is a source of packets.
type visitor struct {
	*flow
	in, out lane
	inside  *net.UDPConn
	raw     syscall.RawConn // of inside
	used    atomic.Int64    // when a packet went either way, in ns
}

// PublishUDP listens at addr on the host and carries packets to the port of the
// namespace's loopback, as the limits of the ingress rule allow. It fails if the
// address is taken.
func (r *Relay) PublishUDP(rule, addr string, port uint16) (*UDPPublication, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("publish UDP port %d at %s: %w", port, addr, err)
	}
	c, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, fmt.Errorf("publish UDP port %d at %s: %w", port, addr, err)
	}
	p := &UDPPublication{relay: r, rule: "ingress." + rule, port: port, sock: c, visitors: map[netip.AddrPort]*visitor{}}
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
		v.cut(traffic.ByPolicy, replacedBy(port))
	}
}

// Rename has the limits of another ingress rule hold.
func (p *UDPPublication) Rename(rule string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = "ingress." + rule
	for _, v := range p.visitors {
		v.meter.Move(p.rule)
	}
}

// Close ends the publication; how is one of package traffic's.
func (p *UDPPublication) Close(how, reason string) {
	p.mu.Lock()
	p.over = true
	_ = p.sock.Close()
	for _, v := range p.visitors {
		v.cut(how, reason)
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
			v.in.put(buf[:n])
		}
	}
}

// visitor finds or makes the socket of a source, if the limits have room for it.
func (p *UDPPublication) visitor(from netip.AddrPort) *visitor {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.visitors[from]; v != nil || p.over {
		return v
	}
	f := p.relay.visit(p.rule, "udp", net.UDPAddrFromAddrPort(from))
	if f == nil {
		return nil
	}
	v := &visitor{flow: f}
	var err error
	if v.inside, err = p.reach(); err == nil {
		v.raw, err = v.inside.SyscallConn()
	}
	if err != nil || !f.hold(v.inside) {
		f.finish()
		return nil
	}
	f.enter(p.relay.visited(p.rule, "udp", from.Addr(), p.port, nil))
	f.noted().Led(netip.AddrPortFrom(netns.Loopback4, p.port))
	p.lanes(v, from)
	p.visitors[from] = v
	p.wg.Go(func() { p.serve(v, from) })
	return v
}

// serve sends answers back until the visit is over.
func (p *UDPPublication) serve(v *visitor, from netip.AddrPort) {
	p.answers(v)
	v.cut(traffic.TimedOut, fmt.Sprintf("nothing went through for %s", udpIdle))
	v.in.close()
	v.out.close()
	p.mu.Lock()
	delete(p.visitors, from)
	p.mu.Unlock()
	v.finish()
	v.note()
}

// lanes make the two ways of a visit.
func (p *UDPPublication) lanes(v *visitor, from netip.AddrPort) {
	f, entry := v.flow, v.noted()
	send := func(b []byte) {
		_, _ = v.inside.Write(b) // UDP may be lost
		entry.Count(0, len(b))
	}
	back := func(b []byte) {
		_, _ = p.sock.WriteToUDPAddrPort(b, from)
		entry.Count(len(b), 0)
	}
	over := func(err error) { f.cut(traffic.ByLimit, err.Error()) }
	v.in = lane{flow: f, way: meter.Ingress, send: send, over: over, all: &p.held}
	v.out = lane{flow: f, way: meter.Egress, send: back, over: over, all: &p.held}
}

// reach makes a socket of the namespace that leads to the port.
func (p *UDPPublication) reach() (*net.UDPConn, error) {
	d := net.Dialer{Control: socketOfNamespace(p.relay.ns)}
	c, err := d.DialContext(context.Background(), "udp4", netip.AddrPortFrom(netns.Loopback4, p.port).String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// answers sends back what the sandbox says, until nobody said anything for a while.
func (p *UDPPublication) answers(v *visitor) {
	for {
		_ = v.inside.SetReadDeadline(time.Now().Add(udpIdle))
		buf, n, err := receive(v.raw)
		switch {
		case err == nil:
			v.used.Store(time.Now().UnixNano())
			v.out.put(buf[:n])
			datagrams.Put(buf)
		case errors.Is(err, unix.ECONNREFUSED): // nobody listens there now
		case isTimeout(err) && time.Since(time.Unix(0, v.used.Load())) < udpIdle:
		default:
			return
		}
	}
}
