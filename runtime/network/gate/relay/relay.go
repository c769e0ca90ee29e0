package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// Names are those that have synthetic addresses.
type Names interface {
	// Name is the one that an address stands for.
	Name(a netip.Addr) (string, bool)
	// Refused is the address that a name gets which no rule allows; others get it, too.
	Refused(name string) netip.Addr
}

// A Policy is what a relay goes by.
type Policy struct {
	Rules    *rules.Rules
	Resolver *upstream.Resolver
	Enter    Enter
	Taken    upstream.Taken // nil: no address is
}

// dialer connects to names.
func (p Policy) dialer() upstream.Dialer {
	return upstream.Dialer{Resolver: p.Resolver, Rules: p.Rules, Taken: p.Taken}
}

// Enter connects to a port of another environment of the project, if that lets this one
// in.
type Enter func(ctx context.Context, env string, port uint16, g Guest) (*Entry, error)

// A Relay serves one sandbox. It may be used by several goroutines.
type Relay struct {
	ns     *os.File
	names  Names
	record func(denial.Denial, who.Socket) denial.Denial
	choice []string // words of a command that choose the environment

	meters *meter.Meters
	book   *ledger.Ledger
	pipes  pipes

	undecided chan struct{} // one for each

	mu     sync.Mutex
	policy Policy
	flows  map[*flow]struct{}
	open   map[io.Closer]struct{} // sockets in the namespace
	closed bool
	wg     sync.WaitGroup
}

// New returns a relay for the namespace, which has the limits of meters. record is called
// with each refusal while the process that caused it still waits, and returns it with what
// it found out. choice are the words of a command that choose the environment, for who is
// told to type one. What is allowed is entered in book, which may be nil.
func New(ns *os.File, names Names, p Policy, meters *meter.Meters, record func(denial.Denial, who.Socket) denial.Denial, book *ledger.Ledger, choice ...string) *Relay {
	return &Relay{ns: ns, names: names, policy: p, meters: meters, record: record, book: book, choice: choice, flows: map[*flow]struct{}{}, open: map[io.Closer]struct{}{}, undecided: make(chan struct{}, Undecided)}
}

// SetPolicy changes the rules and ends what they don't allow any more.
func (r *Relay) SetPolicy(p Policy) {
	r.mu.Lock()
	r.policy = p
	r.mu.Unlock()
	r.Recheck()
}

func (r *Relay) current() Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy
}

// Recheck ends the connections that the rules don't allow now: a rule may have
// expired.
func (r *Relay) Recheck() {
	own, err := upstream.OwnAddrs()
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.flows {
		if err != nil {
			f.cut(traffic.ByPolicy, err.Error())
			continue
		}
		if v := f.verdict(r.policy, own, now); !v.OK {
			f.cut(traffic.ByPolicy, cutBy(v))
			continue
		}
		f.move(f.to.verdict(r.policy.Rules, own, now))
	}
}

// ServeTCP relays what l accepts until the relay is closed.
func (r *Relay) ServeTCP(l *net.TCPListener) {
	r.start(l, func() {
		for {
			r.undecided <- struct{}{}
			c, err := accept(l)
			if err != nil {
				<-r.undecided
				return
			}
			r.wg.Go(func() { r.serve(c) })
		}
	})
}

// Undecided is how many connections a relay takes before it knows whether there is a
// place for them; more wait in the kernel. A connection that is refused has a
// descriptor until that is on record, and a sandbox decides how many it tries.
const Undecided = 64

// acceptAgain is how long to wait when the kernel gives no connection away: the
// daemon is out of descriptors, until somebody gives some back.
const acceptAgain = 20 * time.Millisecond

// accept takes the next connection. An error means that l is closed.
func accept(l *net.TCPListener) (*net.TCPConn, error) {
	for {
		c, err := l.AcceptTCP()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		<-time.After(acceptAgain)
	}
}

// Close ends all connections and waits for that.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	for c := range r.open {
		_ = c.Close()
	}
	for f := range r.flows {
		f.cut(traffic.WithDaemon, "")
	}
	r.mu.Unlock()
	r.wg.Wait()
	r.pipes.close()
}

// start runs f, which ends when c is closed.
func (r *Relay) start(c io.Closer, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = c.Close()
		return
	}
	r.open[c] = struct{}{}
	r.wg.Go(func() {
		f()
		_ = c.Close()
		r.mu.Lock()
		delete(r.open, c)
		r.mu.Unlock()
	})
}

// serve relays one TCP connection.
func (r *Relay) serve(c *net.TCPConn) {
	decided := sync.OnceFunc(func() { <-r.undecided })
	defer decided()
	dst, err := originalDst(c)
	if err != nil || dst.Addr().IsLoopback() {
		reset(c) // nobody redirected it: it came to the relay itself
		return
	}
	to, known := r.target("tcp", dst)
	s := socketOf(c, dst)
	f, policy, err := r.begin(to)
	if err != nil {
		r.limited(to, err, s)
		reset(c)
		return
	}
	decided()
	defer r.end(f)
	if !f.hold(c) {
		return
	}
	t := &talk{relay: r, flow: f, policy: policy, socket: s, client: c}
	do := t.run
	switch {
	case to.refusedInWords():
		do = t.sayWhy
	case !known:
		d := to.denial(rules.Verdict{Reason: "this synthetic address was not given out by the DNS server"})
		d.Final = true
		r.record(d, s)
		reset(c)
		return
	default:
		d, ok := r.admit(f, policy, s, c)
		if !ok && (d.Op == "" || !to.explained()) {
			reset(c)
			return
		}
		if !ok {
			do = func() error { return t.sayNo(d) }
		}
	}
	if err := do(); err != nil {
		t.explain(err)
		f.settled()
		reset(c)
	}
}

// admit asks the rules and the limits about a flow, and tells if they say no or
// "audit". One that they allow is entered in the book; measured is nil if it isn't TCP.
// d is the refusal if a rule is what it lacks.
func (r *Relay) admit(f *flow, p Policy, s who.Socket, measured *net.TCPConn) (d denial.Denial, ok bool) {
	own, err := upstream.OwnAddrs()
	if err != nil {
		return d, false
	}
	v := f.verdict(p, own, time.Now())
	if !v.OK || v.Audit {
		d = r.refuse(f.to, v, s)
	}
	f.admitted(v)
	if !v.OK {
		return d, false
	}
	if !r.count(f, v, s) {
		return denial.Denial{}, false
	}
	f.enter(r.book.Begin(f.to.connection(v), s, measured))
	return d, true
}

// refuse records a refusal, or what audit let through.
func (r *Relay) refuse(to target, v rules.Verdict, s who.Socket) denial.Denial {
	return r.record(to.denial(v), s)
}

// denial is a refusal of the target, or what audit let through.
func (t target) denial(v rules.Verdict) denial.Denial {
	d := denial.Denial{
		Op: denial.Connect, Host: t.name, Port: t.addr.Port(), Protocol: t.proto,
		Rule: v.Rule, Reason: v.Reason, Told: v.Told, Final: v.Final, Allowed: v.OK,
	}
	if t.name == "" {
		d.Addr = t.addr.Addr().String()
	}
	return d
}

// A target is where a flow wants to go.
type target struct {
	proto string
	name  string         // "" if it named no host
	addr  netip.AddrPort // as the process had it; synthetic if there is a name
}

// target maps a destination to what was meant by it, if that is known.
func (r *Relay) target(proto string, dst netip.AddrPort) (target, bool) {
	t := target{proto: proto, addr: dst}
	if !netns.Synthetic.Contains(dst.Addr()) {
		return t, true
	}
	var ok bool
	t.name, ok = r.names.Name(dst.Addr())
	return t, ok
}

func (t target) verdict(rs *rules.Rules, own []netip.Prefix, now time.Time) rules.Verdict {
	if t.name != "" {
		return rs.NamePort(t.name, t.addr.Port(), now)
	}
	return rs.Addr(t.proto, t.addr, own, now)
}

// A flow is one open connection with all sockets that belong to it.
type flow struct {
	to     target
	ctx    context.Context
	cancel context.CancelFunc
	pipes  *pipes

	mu     sync.Mutex
	conns  []net.Conn
	led    netip.AddrPort // where the name led to; zero before that, and without a name
	over   bool
	meter  *meter.Flow   // once it is admitted
	piping bool          // a wake ends what conns wait for
	entry  *ledger.Entry // nil before it was allowed
	ending

	opaque bool   // nothing that is said was checked
	leave  func() // tells the other environment that it goes to; only the goroutine of the flow has it
}

func (f *flow) admitted(v rules.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opaque = v.Opaque
}

// verdict judges a flow that may have got as far as an address behind its name.
func (f *flow) verdict(p Policy, own []netip.Prefix, now time.Time) rules.Verdict {
	f.mu.Lock()
	led, opaque := f.led, f.opaque
	f.mu.Unlock()
	v := f.lawful(p.Rules, led, opaque, own, now)
	at := led
	if f.to.name == "" {
		at = f.to.addr
	}
	if v.OK && at.IsValid() && p.Taken != nil {
		if no, taken := p.Taken(f.to.proto, at, own); taken {
			no.Rule = v.Rule
			return no
		}
	}
	return v
}

// lawful is what the rules say of a flow.
func (f *flow) lawful(rs *rules.Rules, led netip.AddrPort, opaque bool, own []netip.Prefix, now time.Time) rules.Verdict {
	v := f.to.verdict(rs, own, now)
	if v.OK && opaque && !v.Opaque {
		return rules.Verdict{Rule: v.Rule, Reason: "what is said must be checked now, and was not"}
	}
	if !v.OK || !led.IsValid() {
		return v
	}
	return rs.LeadsTo(led, own, now)
}

// lead notes where the name leads to.
func (f *flow) lead(to netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.led = to
}

// begin registers a flow, and returns the policy to judge it by. A policy that
// is set later judges it again.
func (r *Relay) begin(to target) (*flow, Policy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, Policy{}, net.ErrClosed
	}
	if err := r.meters.Full(len(r.flows)); err != nil {
		return nil, Policy{}, err
	}
	f := r.newFlow(to)
	r.flows[f] = struct{}{}
	return f, r.policy, nil
}

func (r *Relay) newFlow(to target) *flow {
	ctx, cancel := context.WithCancel(context.Background())
	return &flow{to: to, ctx: ctx, cancel: cancel, pipes: &r.pipes}
}

// end closes what the flow still holds, forgets it, and notes its end.
func (r *Relay) end(f *flow) {
	r.forget(f)
	f.note()
}

// forget closes what the flow still holds, and gives its place back.
func (r *Relay) forget(f *flow) {
	r.mu.Lock()
	delete(r.flows, f)
	r.mu.Unlock()
	f.finish()
}

// finish closes what the flow still holds, and gives its place back.
func (f *flow) finish() {
	f.cancel()
	f.mu.Lock()
	f.ended(traffic.ByServer, "") // if nobody said otherwise
	f.over = true
	f.entry.Measure()
	for _, c := range f.conns {
		_ = c.Close()
	}
	leave, m := f.leave, f.meter
	f.mu.Unlock()
	// Who holds their locks may be waking the flow.
	if leave != nil {
		leave()
	}
	if m != nil {
		m.Close()
	}
}

// hold adds a socket to the flow, or resets it if the flow was cut already.
func (f *flow) hold(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		reset(c)
		return false
	}
	f.conns = append(f.conns, c)
	return true
}

// cut resets all sockets of the flow, and says why; see package traffic.
func (f *flow) cut(how, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.ended(how, reason)
	f.entry.Measure()
	f.cancel()
	for _, c := range f.conns {
		reset(c)
	}
}

// reset closes a connection so that the other side sees ECONNRESET, not an end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
