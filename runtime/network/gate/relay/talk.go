package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/hostname"
	"blast.example/blast/runtime/network/traffic"
)

// Waiting for a client to say whom it means.
const (
	sayWithin  = 10 * time.Second       // a ClientHello or the head of a request
	silentFor  = 300 * time.Millisecond // then perhaps the server speaks first
	lineWithin = 3 * time.Second        // the rest of a line that has begun: a program writes it at once
	portHTTP   = 80
	peekBuffer = 16 << 10
)

// portsTLS are the ports on which TLS begins at once, by IANA's registry of service
// names: https, submissions, nntps, ldaps, domain-s, ftps, telnets, imaps, pop3s,
// msft-gc-ssl, sips, amqps, ircs-u, pcsync-https, secure-mqtt.
var portsTLS = []uint16{443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 3269, 5061, 5671, 6697, 8443, 8883}

// mismatchError is a client that speaks to another host than it connected to.
type mismatchError struct{ reason string }

func (e *mismatchError) Error() string { return e.reason }

// readers are those of nobody right now.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, peekBuffer) }}

// borrow reads from a connection through a buffer of peekBuffer bytes.
func borrow(from io.Reader) *bufio.Reader {
	in, _ := readers.Get().(*bufio.Reader)
	in.Reset(from)
	return in
}

// giveBack is for a reader that nobody uses any more. One that isn't given back is only
// garbage.
func giveBack(in *bufio.Reader) {
	in.Reset(nil)
	readers.Put(in)
}

// A talk is one admitted connection.
type talk struct {
	relay  *Relay
	flow   *flow
	policy Policy
	socket who.Socket
	client *net.TCPConn
	in     *bufio.Reader // of client
	server *net.TCPConn  // once it is dialled
}

// run relays until both sides are done. An error means that the client is to
// be reset.
func (t *talk) run() error {
	if t.flow.to.name == "" || t.flow.opaque || t.policy.Rules.Audit() {
		if err := t.dial(); err != nil {
			return err
		}
		return t.flow.pipe(t.client, t.server, meter.Egress)
	}
	t.in = borrow(t.client)
	switch port := t.flow.to.addr.Port(); {
	case slices.Contains(portsTLS, port):
		return t.expect(tlsHello)
	case port == portHTTP:
		return t.expect(httpRequest)
	}
	return t.anything()
}

// expect allows one protocol only.
func (t *talk) expect(want protocol) error {
	got, err := t.sniff(sayWithin)
	if err != nil {
		return err
	}
	if got == nothing {
		t.flow.endedBy(traffic.ByClient, "")
		return nil // a look whether the port is open
	}
	if got != want {
		return &mismatchError{fmt.Sprintf("port %d is for %s, unless the rule says protocol = \"tcp\"; the first bytes are %s", t.flow.to.addr.Port(), want, got)}
	}
	return t.converse(got)
}

// anything serves a port of no fixed protocol. If the client says nothing it
// may wait for the server; whoever speaks first decides.
func (t *talk) anything() error {
	got, err := t.sniff(silentFor)
	if errors.Is(err, os.ErrDeadlineExceeded) && t.in.Buffered() == 0 {
		if err := t.dial(); err != nil {
			return err
		}
		serverFirst, err := t.whoSpeaks()
		if err != nil {
			return err
		}
		if serverFirst {
			return t.raw()
		}
	}
	if err != nil {
		if got, err = t.sniff(lineWithin); errors.Is(err, os.ErrDeadlineExceeded) {
			return &mismatchError{"a line of text has begun and does not end, so it can't be told from HTTP; a rule with protocol = \"tcp\" lets any bytes through"}
		}
		if err != nil {
			return err
		}
	}
	return t.converse(got)
}

func (t *talk) converse(p protocol) error {
	switch p {
	case tlsHello:
		return t.tls()
	case httpRequest:
		return t.http()
	case http2Preface:
		return &mismatchError{"HTTP/2 without TLS can change the host unseen"}
	}
	return t.raw()
}

// tls checks the server name of the ClientHello, and of a second one if the server asks
// for that, and sends both on as they are.
func (t *talk) tls() error {
	_ = t.client.SetReadDeadline(time.Now().Add(sayWithin))
	if err := t.hello(); err != nil {
		return err
	}
	if err := t.secondHello(); err != nil {
		return err
	}
	return t.raw()
}

// hello checks one ClientHello and sends it on.
func (t *talk) hello() error {
	name, said, err := readHello(t.in)
	if err != nil {
		return &mismatchError{"the TLS ClientHello can't be read"}
	}
	if got, ok := hostname.Normalize(name); !ok || got != t.flow.to.name {
		if name == "" {
			return &mismatchError{"the TLS ClientHello names no host (SNI)"}
		}
		return &mismatchError{fmt.Sprintf("the TLS ClientHello names %.100q (SNI)", name)}
	}
	if err := t.dial(); err != nil {
		return err
	}
	if err := t.send(t.server, meter.Egress, said); err != nil {
		return fmt.Errorf("send ClientHello: %w", err)
	}
	return nil
}

// raw sends on what was read ahead, and then everything as it comes.
func (t *talk) raw() error {
	if err := t.dial(); err != nil {
		return err
	}
	if err := t.client.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	ahead, _ := t.in.Peek(t.in.Buffered())
	if err := t.send(t.server, meter.Egress, ahead); err != nil {
		return fmt.Errorf("send upstream: %w", err)
	}
	giveBack(t.in) // most connections are silent for most of their life: they keep no buffer
	t.in = nil
	return t.flow.pipe(t.client, t.server, meter.Egress)
}

// dial connects to the target, once.
func (t *talk) dial() error {
	if t.server != nil {
		return nil
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	t.server = c
	return nil
}

// connect makes a new connection to the target that belongs to the flow.
func (t *talk) connect() (*net.TCPConn, error) {
	if t.flow.to.name == "" {
		c, err := upstream.DialTCP(t.flow.ctx, t.flow.to.addr)
		return t.holdNew(c, err)
	}
	p := t.relay.current()
	if env, ok := rules.Environment(t.flow.to.name); ok {
		return t.enter(p, env)
	}
	c, err := t.holdNew(p.dialer().Named(t.flow.ctx, t.flow.to.name, t.flow.to.addr.Port()))
	if err != nil {
		return nil, err
	}
	return c, t.led(c)
}

// enter connects to another environment.
func (t *talk) enter(p Policy, env string) (*net.TCPConn, error) {
	e, err := p.Enter(t.flow.ctx, env, t.flow.to.addr.Port(), Guest{Client: t.client, Wake: t.flow.wake, Cut: func(how, reason string) {
		t.flow.cut(how, reason)
		if how == traffic.ByLimit {
			t.relay.refuse(t.flow.to, rules.Verdict{Reason: reason}, t.socket)
		}
	}})
	if err != nil {
		return nil, &reachError{err}
	}
	t.flow.noted().Join(e.record) // first: whoever cut it meanwhile has its end noted
	if !t.flow.hold(e.Conn) {
		e.Leave()
		return nil, net.ErrClosed
	}
	t.flow.leave = e.Leave
	t.flow.meter.Join(e.meter)
	t.flow.reached(e.Conn)
	return e.Conn, nil
}

func (t *talk) holdNew(c *net.TCPConn, err error) (*net.TCPConn, error) {
	if err != nil {
		return nil, &reachError{err}
	}
	if !t.flow.hold(c) {
		return nil, net.ErrClosed
	}
	t.flow.reached(c)
	return c, nil
}

// led notes where the name led to, for Recheck. Rules that changed meanwhile
// judge it here.
func (t *talk) led(c *net.TCPConn) error {
	to, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return err
	}
	t.flow.lead(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	own, err := upstream.OwnAddrs()
	if err != nil {
		return err
	}
	if v := t.flow.verdict(t.relay.current(), own, time.Now()); !v.OK {
		return &upstream.RefusedError{Verdict: v}
	}
	return nil
}

// explain records why the policy ended the connection, if it did.
func (t *talk) explain(err error) (denial.Denial, bool) {
	t.flow.failed(err, t.client)
	d, refused := t.reason(err)
	if refused {
		d = t.relay.record(d, t.socket)
	}
	return d, refused
}

// whoSpeaks waits until one side sends something or ends.
func (t *talk) whoSpeaks() (serverFirst bool, err error) {
	if err := t.client.SetReadDeadline(time.Time{}); err != nil {
		return false, err
	}
	out := bufio.NewReader(t.server)
	first := make(chan bool, 2)
	past := time.Unix(1, 0)
	go func() {
		_, _ = out.Peek(1)
		first <- true
	}()
	go func() {
		_, _ = t.in.Peek(1)
		first <- false
	}()
	serverFirst = <-first
	_, _ = t.client.SetReadDeadline(past), t.server.SetReadDeadline(past)
	<-first
	if err := errors.Join(t.client.SetReadDeadline(time.Time{}), t.server.SetReadDeadline(time.Time{})); err != nil {
		return false, err
	}
	// What was read to see who speaks is on its way to the client.
	ahead, _ := out.Peek(out.Buffered())
	if err := t.send(t.client, meter.Ingress, ahead); err != nil {
		return false, fmt.Errorf("send to client: %w", err)
	}
	return serverFirst || len(ahead) > 0, nil
}
