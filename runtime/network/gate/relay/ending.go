package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/traffic"
)

// An ending is how a flow came to its end, see package traffic. What is said first
// holds: the rest follows from it.
type ending struct{ how, reason string }

func (e *ending) ended(how, reason string) {
	if e.how == "" {
		e.how, e.reason = how, reason
	}
}

// cutBy is why a verdict ends a connection that was allowed.
func cutBy(v rules.Verdict) string {
	if v.Reason == "" {
		return "no rule names it any more"
	}
	return v.Reason
}

// connection is the entry of a flow that a rule allows.
func (t target) connection(v rules.Verdict) traffic.Connection {
	c := traffic.Connection{Way: traffic.Out, Protocol: t.proto, Host: t.name, Port: t.addr.Port(), Rule: v.Rule, Audit: v.Audit}
	if t.name == "" {
		c.Addr = t.addr.Addr().String()
	}
	return c
}

// enter notes the flow's entry in the book.
func (f *flow) enter(e *ledger.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entry = e
}

// noted is the flow's entry.
func (f *flow) noted() *ledger.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entry
}

// settled reads the kernel's counts, as the socket is about to be closed.
func (f *flow) settled() { f.noted().Measure() }

// note closes the flow's entry. It may wait until it is known who it was.
func (f *flow) note() {
	f.mu.Lock()
	entry, e := f.entry, f.ending
	f.mu.Unlock()
	entry.End(e.how, e.reason)
}

// endedBy says how the flow came to its end.
func (f *flow) endedBy(how, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended(how, reason)
}

// reached notes where a connection led to.
func (f *flow) reached(c *net.TCPConn) {
	if to, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		f.noted().Led(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	}
}

// failed says how a talk ended that did not go through. Where the error can't tell
// who it was, the client's socket does.
func (f *flow) failed(err error, client *net.TCPConn) {
	var mismatch *mismatchError
	var refused *upstream.RefusedError
	var reach *reachError
	var limit *meter.LimitError
	switch {
	case errors.As(err, &mismatch), errors.As(err, &refused):
		f.endedBy(traffic.Refused, err.Error())
	case errors.As(err, &limit):
		f.endedBy(traffic.ByLimit, limit.Reason)
	case errors.As(err, &reach):
		f.endedBy(traffic.Unreachable, err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		f.endedBy(traffic.TimedOut, fmt.Sprintf("nothing was said for %s", sayWithin))
	default:
		f.endedBy(whoEnded(client), "")
	}
}

// whoEnded tells who ended a connection, from the client's socket, as long as that
// is open here.
func whoEnded(client *net.TCPConn) string {
	in, ok := ledger.InfoOf(client)
	switch {
	case ok && (in.Fin() || in.Dead()):
		return traffic.ByClient
	case ok && in.Quiet >= quiet:
		return traffic.TimedOut
	}
	return traffic.ByServer
}

// quiet is shorter than every time after which the relay gives up on HTTP, and longer
// than it takes to close what has just been used.
const quiet = headWithin / 2

// A reachError is a connection whose other side could not be reached.
type reachError struct{ err error }

func (e *reachError) Error() string { return e.err.Error() }
func (e *reachError) Unwrap() error { return e.err }
