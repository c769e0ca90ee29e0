package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// count asks the limits about a flow that the rules allow, and tells if they say no.
func (r *Relay) count(f *flow, v rules.Verdict, s who.Socket) bool {
	m, err := r.meters.Open(meterOf(v), meter.Events{Wake: f.wake, Cut: func(err error) {
		f.cut(traffic.ByLimit, err.Error())
		r.limited(f.to, err, s)
	}})
	if err != nil {
		r.limited(f.to, err, s)
		return false
	}
	f.mu.Lock()
	f.meter = m
	f.mu.Unlock()
	// A policy that was set meanwhile may have another rule for it.
	f.move(f.to.verdict(r.current().Rules, nil, time.Now()))
	return true
}

// meterOf is what the meters call the rule that decided; "" is none.
func meterOf(v rules.Verdict) string {
	if v.Audit || v.Rule == "" {
		return ""
	}
	return "egress." + v.Rule
}

// move has the rule hold the flow that allows it now.
func (f *flow) move(v rules.Verdict) {
	f.mu.Lock()
	m := f.meter
	f.mu.Unlock()
	if m != nil && v.OK {
		m.Move(meterOf(v))
	}
}

// limited records what a limit refused or ended.
func (r *Relay) limited(to target, err error, s who.Socket) {
	var why *meter.LimitError
	if !errors.As(err, &why) {
		return
	}
	r.record(to.limited(why), s)
}

// limited is the refusal of a target for a limit, which no rule changes.
func (t target) limited(why *meter.LimitError) denial.Denial {
	d := t.denial(rules.Verdict{Rule: strings.TrimPrefix(why.Rule, "egress."), Reason: why.Reason})
	d.Limit, d.Final = why.Limit, true
	return d
}

// visit opens a flow for a visitor of a published port, or records why not.
func (r *Relay) visit(rule, proto string, from net.Addr) *flow {
	f := r.newFlow(target{})
	m, err := r.meters.Open(rule, meter.Events{Wake: f.wake, Cut: func(err error) {
		f.cut(traffic.ByLimit, err.Error())
		r.turned(proto, from, err)
	}})
	if err != nil {
		r.turned(proto, from, err)
		return nil
	}
	f.meter = m
	return f
}

// visited enters a visitor who came from an address to a port of the sandbox; c is nil
// if it isn't TCP.
func (r *Relay) visited(rule, proto string, from netip.Addr, port uint16, c *net.TCPConn) *ledger.Entry {
	e := traffic.Connection{Way: traffic.In, Protocol: proto, Addr: from.Unmap().String(), Port: port, Rule: strings.TrimPrefix(rule, "ingress.")}
	s := who.Socket{Proto: proto, Local: netip.AddrPortFrom(netns.Loopback4, port), Listens: c != nil}
	return r.book.Begin(e, s, c)
}

// addrOf is the address of an end of a TCP connection.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}

// turned records a visitor that a limit refused, or sent away.
func (r *Relay) turned(proto string, from net.Addr, err error) {
	var why *meter.LimitError
	if !errors.As(err, &why) {
		return
	}
	d := denial.Denial{Op: denial.Visit, Protocol: proto, Rule: why.Rule, Reason: why.Reason, Limit: why.Limit}
	if a, err := netip.ParseAddrPort(from.String()); err == nil {
		d.Addr = a.Addr().Unmap().String()
	}
	r.record(d, who.Socket{})
}

// send writes what was read ahead, as the limits allow.
func (t *talk) send(to net.Conn, d meter.Direction, b []byte) error {
	return send(t.flow.ctx, t.flow.meter, to, d, b)
}

func send(ctx context.Context, m *meter.Flow, to net.Conn, d meter.Direction, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), m.Piece(d))
		if err := m.Take(ctx, d, n); err != nil {
			return err
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// metered is a connection to a server, of which each read and write is as the
// limits allow.
type metered struct {
	stream // and no ReaderFrom or WriterTo, which would go around it
	talk   *talk
}

// A stream is a connection of which one half can end: so does what a websocket's client
// says.
type stream interface {
	net.Conn
	CloseWrite() error
}

func (c metered) Read(p []byte) (int, error) {
	m := c.talk.flow.meter
	n, err := c.stream.Read(p[:min(len(p), m.Piece(meter.Ingress))])
	if n > 0 {
		if err := m.Take(c.talk.flow.ctx, meter.Ingress, n); err != nil {
			return 0, c.over(err)
		}
	}
	return n, err
}

func (c metered) Write(p []byte) (int, error) {
	if err := c.talk.send(c.stream, meter.Egress, p); err != nil {
		return 0, c.over(err)
	}
	return len(p), nil
}

// over ends the whole flow if a limit did: the HTTP proxy in between would go on.
func (c metered) over(err error) error {
	var why *meter.LimitError
	if errors.As(err, &why) {
		c.talk.explain(err)
		c.talk.flow.cut(traffic.ByLimit, why.Reason)
	}
	return err
}
