package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"blast.example/blast/runtime/network/gate/meter"
)

// A Door is a port of a sandbox that other sandboxes may connect to.
type Door struct {
	ns     *os.File
	port   uint16
	meters *meter.Meters // of the sandbox that the port is of

	mu     sync.Mutex
	rule   string // "ingress.api", whose limits hold
	inside map[net.Conn]*meter.Flow
	ctx    context.Context
	cancel context.CancelFunc
}

// An Entry is a connection that came in.
type Entry struct {
	Conn  *net.TCPConn
	Leave func() // is called when it is over

	meter *meter.Flow
}

// NewDoor returns a way to the port of the relay's sandbox, by an ingress rule.
func (r *Relay) NewDoor(rule string, port uint16) *Door {
	d := &Door{ns: r.ns, port: port, meters: r.meters, rule: "ingress." + rule, inside: map[net.Conn]*meter.Flow{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Rename has the limits of another ingress rule hold.
func (d *Door) Rename(rule string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rule = "ingress." + rule
	for _, m := range d.inside {
		m.Move(d.rule)
	}
}

// errClosed is a door that is not there any more.
var errClosed = errors.New("the port is not open to this environment")

// Enter connects to the port. The connection ends when the door is closed. An error is
// a *meter.LimitError if too many came in.
func (d *Door) Enter(ctx context.Context, on meter.Events) (*Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the door closes on its own, whoever is entering
	d.mu.Lock()
	rule := d.rule
	d.mu.Unlock()
	m, err := d.meters.Open(rule, on)
	if err != nil {
		return nil, err
	}
	c, err := reach(ctx, d.ns, d.port)
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
	d.inside[c] = m
	m.Move(d.rule) // it may be another by now
	return &Entry{Conn: c, Leave: func() { d.leave(c); m.Close() }, meter: m}, nil
}

func (d *Door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, c)
}

// Close ends the connections of all who came in.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancel()
	for c := range d.inside {
		reset(c)
	}
}
