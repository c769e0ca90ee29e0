package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
)

// A Door is a port of a sandbox that other sandboxes may connect to.
type Door struct {
	ns   *os.File
	port uint16

	mu     sync.Mutex
	inside map[net.Conn]struct{}
	ctx    context.Context
	cancel context.CancelFunc
}

// NewDoor returns a way to the port of the namespace's loopback.
func NewDoor(ns *os.File, port uint16) *Door {
	d := &Door{ns: ns, port: port, inside: map[net.Conn]struct{}{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// errClosed is a door that is not there any more, or too many who came in.
var errClosed = errors.New("the port is not open to this environment")

// Enter connects to the port. The connection ends when the door is closed; leave tells
// the door that it ended before.
func (d *Door) Enter(ctx context.Context) (c *net.TCPConn, leave func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the door closes on its own, whoever is entering
	if c, err = reach(ctx, d.ns, d.port); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil || len(d.inside) >= maxFlows {
		reset(c)
		return nil, nil, errClosed
	}
	d.inside[c] = struct{}{}
	return c, func() { d.leave(c) }, nil
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
