package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"blast.example/blast/runtime/network/gate/netns"
)

// reachWithin is how long a server in a sandbox may take to accept.
const reachWithin = 5 * time.Second

// A Publication is a port of a sandbox that the host offers.
type Publication struct {
	ns *os.File
	l  *net.TCPListener

	mu    sync.Mutex
	port  uint16
	conns map[net.Conn]struct{}
	over  bool
	wg    sync.WaitGroup
}

// Publish listens at addr on the host and carries each connection to the port
// of the namespace's loopback. It fails if the address is taken.
func Publish(ns *os.File, addr string, port uint16) (*Publication, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("publish port %d at %s: %w", port, addr, err)
	}
	l, err := net.ListenTCP("tcp", a)
	if err != nil {
		return nil, fmt.Errorf("publish port %d at %s: %w", port, addr, err)
	}
	p := &Publication{ns: ns, port: port, l: l, conns: map[net.Conn]struct{}{}}
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
	for c := range p.conns {
		reset(c)
	}
}

// Close ends the publication and its connections.
func (p *Publication) Close() {
	p.mu.Lock()
	p.over = true
	_ = p.l.Close()
	for c := range p.conns {
		reset(c)
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Publication) accept() {
	for {
		c, err := p.l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if !p.hold(c) {
			reset(c)
			continue
		}
		p.wg.Go(func() {
			defer p.drop(c)
			p.carry(c)
		})
	}
}

func (p *Publication) carry(c *net.TCPConn) {
	in, err := p.reach()
	if err != nil {
		reset(c) // as if nobody listened
		return
	}
	if !p.hold(in) {
		reset(in)
		reset(c)
		return
	}
	defer p.drop(in)
	pipe(c, in)
}

// reach connects to the sandbox's server from inside. Some listen on one of the
// two loopback addresses only.
func (p *Publication) reach() (*net.TCPConn, error) {
	p.mu.Lock()
	port := p.port
	p.mu.Unlock()
	var c net.Conn
	err := netns.Do(p.ns, func() error {
		d := net.Dialer{Timeout: reachWithin}
		var err error
		for _, host := range []netip.Addr{netns.Loopback4, netns.Loopback6} {
			if c, err = d.Dial("tcp", netip.AddrPortFrom(host, port).String()); err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reach port %d of the sandbox: %w", port, err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no TCP connection", c), c.Close())
	}
	return tcp, nil
}

func (p *Publication) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.conns) >= 2*maxFlows {
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
