package relay

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"blast.example/blast/runtime/network/gate/meter"
)

// Bounds of datagrams that wait.
const (
	laneWithin = 250 * time.Millisecond // then it is too late for most that use UDP
	laneHeld   = 64 << 10               // bytes of one lane
	lanesHeld  = 8 << 20                // bytes of all lanes of a sandbox
)

// A lane carries the datagrams of one direction of a flow, in their order, as the
// limits allow. What would have to wait for too long, or has no place, is dropped and
// counted.
type lane struct {
	flow *flow
	way  meter.Direction
	send func([]byte)
	over func(error)   // a limit ends the flow; called once
	all  *atomic.Int64 // bytes that wait in all lanes

	mu      sync.Mutex
	queue   []datagram
	held    int // bytes in the queue
	running bool
	closed  bool
	wg      sync.WaitGroup
}

type datagram struct {
	data  []byte
	until time.Time
}

// put sends a datagram, or has it wait. b may be used again by the caller.
func (l *lane) put(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case !l.running && !l.flow.meter.Metered(l.way):
		l.send(b)
	case len(l.queue) > 0 && l.held+len(b) > laneHeld || l.all.Load()+int64(len(b)) > lanesHeld:
		l.flow.meter.Drop(l.way)
	default:
		l.queue = append(l.queue, datagram{append([]byte(nil), b...), time.Now().Add(laneWithin)})
		l.hold(len(b))
		if !l.running {
			l.running = true
			l.wg.Go(l.run)
		}
	}
}

func (l *lane) hold(n int) {
	l.held += n
	l.all.Add(int64(n))
}

// run sends what waits until nothing does.
func (l *lane) run() {
	for {
		p, ok := l.first()
		if !ok {
			return
		}
		ctx, cancel := context.WithDeadline(l.flow.ctx, p.until)
		err := l.flow.meter.Take(ctx, l.way, len(p.data))
		cancel()
		var why *meter.LimitError
		switch {
		case err == nil:
			l.send(p.data)
		case errors.As(err, &why):
			l.over(err)
			l.shut()
		default:
			l.flow.meter.Drop(l.way)
		}
	}
}

// first takes what waits longest; without any, run is over.
func (l *lane) first() (datagram, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) == 0 {
		l.running, l.queue = false, nil
		l.hold(-l.held)
		return datagram{}, false
	}
	p := l.queue[0]
	l.queue = l.queue[1:]
	l.hold(-len(p.data))
	return p, true
}

// shut takes nothing any more.
func (l *lane) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// close ends the lane. The flow is cut already, or done.
func (l *lane) close() {
	l.shut()
	l.wg.Wait()
}
