package ledger

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// An Entry is one connection. It may be used by several goroutines. A nil one
// notes nothing.
type Entry struct {
	l        *Ledger
	measured *net.TCPConn
	looked   chan struct{} // closed when it is known who, or that nobody is
	late     *time.Timer   // looks later; nil if nobody waits with that
	on       bool          // it has lines of its own

	beside atomic.Pointer[Entry] // the same connection, in the books of the environment that it leads to

	mu   sync.Mutex // taken after l.mu, never before
	c    traffic.Connection
	led  bool // it has a line in the file
	fin  bool // the client has said that it sends no more
	over bool
}

// Join has the entry of the environment that the connection leads to end with this one,
// and count as it does.
func (e *Entry) Join(to *Entry) {
	if e != nil {
		e.beside.Store(to)
	}
}

// lookAfter is when it is asked who made a connection that has no lines of its own: most
// are over by then, and nobody will read who it was.
const lookAfter = time.Second

// begin starts to look.
func (e *Entry) begin(s who.Socket) {
	if e.on {
		go e.look(s)
		return
	}
	e.c.Unknown = traffic.Unasked // until then
	e.late = time.AfterFunc(lookAfter, func() { e.look(s) })
}

// wait returns when it is known who it was, or that nobody looks any more.
func (e *Entry) wait() {
	if e.late != nil && e.late.Stop() {
		close(e.looked) // once: who stops it did so before it ran
	}
	<-e.looked
}

// look finds out who made the connection, beside what the relay does for it.
func (e *Entry) look(s who.Socket) {
	e.mu.Lock()
	host := e.c.Host
	if e.c.Way == traffic.In {
		host = "" // of who came: the server didn't ask for that
	}
	e.mu.Unlock()
	p := e.l.process(s, host)
	e.l.mu.Lock()
	defer e.l.mu.Unlock()
	e.mu.Lock()
	e.c.Process = p
	c, tell := e.c, e.led && !e.over && e.on
	close(e.looked)
	e.mu.Unlock()
	if tell {
		e.l.note(c)
	}
}

// Led says that the other side is reached, at which address. It may come again, as
// HTTP makes new connections.
func (e *Entry) Led(to netip.AddrPort) {
	if e == nil {
		return
	}
	e.l.mu.Lock()
	defer e.l.mu.Unlock()
	e.mu.Lock()
	e.c.To = to.String()
	c, first := e.c, !e.led && !e.over && e.on
	e.led = true
	e.mu.Unlock()
	if !first {
		return
	}
	select {
	case <-e.looked:
		e.l.note(c)
	default: // readers hear of it when it is known who; the file must, whatever becomes of this process
		e.l.keep(c)
	}
}

// Request counts one more of HTTP.
func (e *Entry) Request() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.c.Requests++
}

// Count adds bytes that nothing else counts.
func (e *Entry) Count(sent, received int) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.c.Sent += uint64(sent)
	e.c.Received += uint64(received)
}

// Fin says that the client has sent its last byte, which the kernel counts as one
// more.
func (e *Entry) Fin() {
	if e == nil {
		return
	}
	e.beside.Load().Fin()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fin = true
}

// Measure reads the kernel's counts, when it is known whether Fin comes. Once the
// socket is closed they are gone, so it must come before that; afterwards it does
// nothing.
func (e *Entry) Measure() {
	if e == nil || e.measured == nil {
		return
	}
	e.beside.Load().Measure()
	if in, ok := InfoOf(e.measured); ok {
		e.take(in)
	}
}

// glance is Measure in the middle of it. Whether a connection that is over had a FIN
// is then not known; the counts come with Measure.
func (e *Entry) glance() {
	if e.measured == nil {
		return
	}
	if in, ok := InfoOf(e.measured); ok && !in.Dead() {
		e.take(in)
	}
}

// take notes the kernel's counts.
func (e *Entry) take(in Info) {
	e.mu.Lock()
	defer e.mu.Unlock()
	toClient, fromClient := in.Acked, in.received(e.fin)
	if e.c.Way == traffic.In {
		toClient, fromClient = fromClient, toClient
	}
	e.c.Sent, e.c.Received = max(e.c.Sent, fromClient), max(e.c.Received, toClient)
}

// End closes the entry: how is one of traffic's, reason says more where there is
// more to say. It comes when the sockets are closed already, as it may wait for
// who it was. Only the first End counts.
func (e *Entry) End(how, reason string) {
	if e == nil {
		return
	}
	defer e.beside.Load().End(how, reason) // without a lock
	e.wait()
	e.l.mu.Lock()
	defer e.l.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.over = true
	e.c.State, e.c.Ended, e.c.End, e.c.Reason = traffic.Closed, time.Now(), how, bound(reason)
	delete(e.l.live, e)
	if how == traffic.Refused && !e.led {
		return // a denial says it all
	}
	e.l.settle(e.c)
	if !e.on {
		e.l.missed.connections++
		return
	}
	e.c.Missed, e.l.missed.connections = e.l.missed.connections, 0
	e.l.note(e.c)
}

// now is the connection as it stands, and whether it is over.
func (e *Entry) now() (c traffic.Connection, over bool) {
	e.glance()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.c, e.over
}

// onRecord is the connection, and whether the file says that it is open.
func (e *Entry) onRecord() (c traffic.Connection, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.c, e.led && e.on && !e.over
}

func bound(s string) string { return s[:min(len(s), maxWord)] }
