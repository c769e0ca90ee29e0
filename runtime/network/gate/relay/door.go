package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// A Door is a port of a sandbox that other sandboxes may connect to.
type Door struct {
	relay *Relay // of the sandbox that the port is of
	port  uint16

	mu     sync.Mutex
	rule   string // "ingress.api", whose limits hold
	inside map[*Entry]struct{}
	ctx    context.Context
	cancel context.CancelFunc
}

// A Guest is a connection of another environment that wants in.
type Guest struct {
	From   string       // the environment
	Client *net.TCPConn // towards the process over there: the kernel counts its bytes

	Wake func()                   // whether it is metered may have changed
	Cut  func(how, reason string) // it must end; how is one of package traffic's
}

// An Entry is a connection that came in.
type Entry struct {
	Conn *net.TCPConn

	guest  Guest
	meter  *meter.Flow
	record *ledger.Entry // in the books of the sandbox that the port is of
	door   *Door
}

// NewDoor returns a way to the port of the relay's sandbox, by an ingress rule.
func (r *Relay) NewDoor(rule string, port uint16) *Door {
	d := &Door{relay: r, port: port, rule: "ingress." + rule, inside: map[*Entry]struct{}{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Rename has the limits of another ingress rule hold.
func (d *Door) Rename(rule string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rule = "ingress." + rule
	for e := range d.inside {
		e.meter.Move(d.rule)
	}
}

// errClosed is a door that is not there any more.
var errClosed = errors.New("the port is not open to this environment")

// Enter connects to the port. The connection is cut when the door is closed. An error is
// a *meter.LimitError if too many came in.
func (d *Door) Enter(ctx context.Context, g Guest) (*Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the door closes on its own, whoever is entering
	d.mu.Lock()
	rule := d.rule
	d.mu.Unlock()
	m, err := d.relay.meters.Open(rule, meter.Events{Wake: g.Wake, Cut: func(err error) {
		g.Cut(traffic.ByLimit, err.Error())
		d.turned(g, err)
	}})
	if err != nil {
		d.turned(g, err)
		return nil, err
	}
	c, err := reach(ctx, d.relay.ns, d.port)
	if err != nil {
		m.Close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		reset(c)
		m.Close()
		return nil, errClosed
	}
	m.Move(d.rule) // it may be another by now
	e := &Entry{Conn: c, guest: g, meter: m, record: d.entered(g), door: d}
	d.inside[e] = struct{}{}
	return e, nil
}

// entered notes a guest in the sandbox's books. d.mu is held.
func (d *Door) entered(g Guest) *ledger.Entry {
	at := netip.AddrPortFrom(netns.Loopback4, d.port)
	e := d.relay.book.Begin(traffic.Connection{
		Way: traffic.In, Protocol: "tcp", Host: g.name(), Port: d.port, Rule: strings.TrimPrefix(d.rule, "ingress."),
	}, who.Socket{Proto: "tcp", Local: at, Listens: true}, g.Client)
	e.Led(at)
	return e
}

// turned records a guest whom a limit refused, or sent away.
func (d *Door) turned(g Guest, err error) {
	var why *meter.LimitError
	if errors.As(err, &why) {
		d.relay.record(denial.Denial{Op: denial.Visit, Protocol: "tcp", Host: g.name(), Rule: why.Rule, Reason: why.Reason, Limit: why.Limit}, who.Socket{})
	}
}

// name is that of the environment, as others find it.
func (g Guest) name() string { return g.From + "." + network.Zone }

// Leave says that the connection is over.
func (e *Entry) Leave() {
	e.door.mu.Lock()
	delete(e.door.inside, e)
	e.door.mu.Unlock()
	e.meter.Close()
}

// Close cuts the connections of all who came in, and says why.
func (d *Door) Close(how, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancel()
	for e := range d.inside {
		e.guest.Cut(how, reason)
		reset(e.Conn)
	}
}
