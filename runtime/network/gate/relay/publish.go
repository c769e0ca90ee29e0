package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/traffic"
)

// reachWithin is how long a server in a sandbox may take to accept.
const reachWithin = 5 * time.Second

// A Publication is a port of a sandbox that the host offers.
type Publication struct {
	relay *Relay // of whose sandbox the port is
	ns    *os.File
	l     *net.TCPListener

	mu     sync.Mutex
	rule   string // "ingress.web", whose limits hold
	port   uint16
	ctx    context.Context // of the port: ends with Retarget and Close
	cancel context.CancelFunc
	conns  map[net.Conn]struct{}
	visits map[*flow]struct{}
	over   bool
	wg     sync.WaitGroup
}

// Publish listens at addr on the host and carries each connection to the port
// of the namespace's loopback, as the limits of the ingress rule allow. It fails if
// the address is taken.
func (r *Relay) Publish(rule, addr string, port uint16) (*Publication, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("publish port %d at %s: %w", port, addr, err)
	}
	l, err := net.ListenTCP("tcp", a)
	if err != nil {
		return nil, fmt.Errorf("publish port %d at %s: %w", port, addr, err)
	}
	p := &Publication{relay: r, ns: r.ns, rule: "ingress." + rule, port: port, l: l, conns: map[net.Conn]struct{}{}, visits: map[*flow]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Retarget leads to another port from now on, and ends the connections to the
// old one.
func (p *Publication) Retarget(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.port == port {
		return
	}
	p.port = port
	p.cancel()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.cut(traffic.ByPolicy, replacedBy(port))
}

// replacedBy is why who visits another port has to go.
func replacedBy(port uint16) string { return fmt.Sprintf("port %d is published in its place", port) }

// cut resets all connections, and says why. p.mu is held.
func (p *Publication) cut(how, reason string) {
	for f := range p.visits { // first, as these are measured
		f.cut(how, reason)
	}
	for c := range p.conns {
		reset(c)
	}
}

// Close ends the publication and its connections; how is one of package traffic's.
func (p *Publication) Close(how, reason string) {
	p.mu.Lock()
	p.over = true
	p.cancel()
	_ = p.l.Close()
	p.cut(how, reason)
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Publication) accept() {
	for {
		c, err := accept(p.l)
		if err != nil {
			return
		}
		if !p.hold(c) {
			reset(c)
			continue
		}
		p.wg.Go(func() {
			defer p.drop(c)
			if f := p.admit(c); f != nil {
				p.carry(f, c)
				p.left(f)
			}
		})
	}
}

func (p *Publication) carry(f *flow, c *net.TCPConn) {
	p.mu.Lock()
	ctx, port := p.ctx, p.port
	p.mu.Unlock()
	in, err := reach(ctx, p.ns, port)
	if err != nil {
		f.endedBy(traffic.Unreachable, err.Error())
		abandon(c) // as if nobody listened
		return
	}
	if !p.hold(in) {
		reset(in)
		abandon(c)
		return
	}
	defer p.drop(in)
	if ctx.Err() != nil { // the port is another by now
		abandon(in)
		abandon(c)
		return
	}
	if !f.hold(in) {
		return
	}
	f.reached(in)
	p.relay.turned("tcp", c.RemoteAddr(), f.pipe(c, in, meter.Ingress))
}

// admit asks the limits about a visitor, and sends it away if they say no.
func (p *Publication) admit(c *net.TCPConn) *flow {
	p.mu.Lock()
	rule, port := p.rule, p.port
	p.mu.Unlock()
	f := p.relay.visit(rule, "tcp", c.RemoteAddr())
	if f == nil {
		reset(c)
		return nil
	}
	f.enter(p.relay.visited(rule, "tcp", addrOf(c.RemoteAddr()), port, c))
	p.mu.Lock()
	p.visits[f] = struct{}{}
	f.meter.Move(p.rule) // it may be another by now
	p.mu.Unlock()
	if !f.hold(c) {
		p.left(f)
		return nil
	}
	return f
}

func (p *Publication) left(f *flow) {
	p.mu.Lock()
	delete(p.visits, f)
	p.mu.Unlock()
	f.finish()
	f.note()
}

// Rename has the limits of another ingress rule hold.
func (p *Publication) Rename(rule string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = "ingress." + rule
	for f := range p.visits {
		f.meter.Move(p.rule)
	}
}

// reach connects to the sandbox's server from inside. Some listen on one of the
// two loopback addresses only.
func reach(ctx context.Context, ns *os.File, port uint16) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: reachWithin, Control: socketOfNamespace(ns)}
	var c net.Conn
	var err error
	for _, host := range []netip.Addr{netns.Loopback4, netns.Loopback6} {
		if c, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(host, port).String()); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reach port %d of the sandbox: %w", port, err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no TCP connection", c), c.Close())
	}
	return tcp, nil
}

// socketOfNamespace puts a socket of the namespace in the place of a dialer's
// own. So only its making takes a thread in there, not the wait for a server
// that doesn't answer: such threads a sandbox and its visitors could have
// without end.
func socketOfNamespace(ns *os.File) func(string, string, syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		family, kind := unix.AF_INET, unix.SOCK_STREAM
		switch network {
		case "tcp6":
			family = unix.AF_INET6
		case "udp4":
			kind = unix.SOCK_DGRAM
		}
		fd := -1
		err := netns.Do(ns, func() (err error) {
			fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			return err
		})
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		var replaced error
		err = c.Control(func(own uintptr) { replaced = unix.Dup3(fd, int(own), unix.O_CLOEXEC) })
		return errors.Join(err, replaced)
	}
}

func (p *Publication) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Publication) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}
