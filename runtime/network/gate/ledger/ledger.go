// Package ledger keeps the books of one gate: which connections are open, what
// became of those that were, and which names were asked for. Those that are open
// are in memory, and the kernel counts their bytes; what is over is in a file of
// the run folder (see traffic) that outlives the daemon. Everything that a sandbox
// can make more of is bounded, and what is left out is counted.
//
//	relay, DNS ─▶ Begin, Led, End, Question ─▶ totals, by rule
//	                                        ─▶ file: a kill of the daemon loses nothing that ended
//	                                        ─▶ readers: a queue each; who is slow misses lines, and is told so
package ledger

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// Bounds of what is noted one by one: a sandbox decides how much it does. What is
// over them is in the totals.
const (
	perSecond = 100         // connections in the long run, and questions
	burst     = 1000        // at once
	sameFor   = time.Second // the same question again within this time is one
	maxRecent = 1024        // questions that are remembered for that
	maxRules  = 4096        // rules with totals of their own, over all policies that there were
	maxWord   = 256         // bytes of what the sandbox chose
)

// Options are what a Ledger needs of its gate. Each function may be nil.
type Options struct {
	Dir string // the run folder
	Log *slog.Logger

	// Look finds who holds a socket. It may take milliseconds.
	Look func(who.Socket) traffic.Process
	// Where is the line of Python, file:line, with which a process (as the host counts)
	// made a connection to a name, or to an address and port, if its interpreter tells.
	Where func(pid int, host string, addr netip.AddrPort) (string, bool)
	// Limits is what the limits have done.
	Limits func() []traffic.Limits
	// Filter is what the packet filter has counted.
	Filter func() []traffic.Counter
	// Delayed is how often a connection had to ask again; see traffic.Totals.
	Delayed func() uint64
}

// A Ledger may be used by several goroutines. A nil one notes nothing.
type Ledger struct {
	o       Options
	leaving atomic.Bool
	quit    chan struct{} // closed by Close

	connections, questions *rate.Limiter

	mu      sync.Mutex // held for no longer than a line takes to be written, but where the file is full
	file    *ndjson.File
	next    uint64 // the last ID
	live    map[*Entry]struct{}
	totals  traffic.Totals
	missed  struct{ connections, questions int }
	recent  map[asked]time.Time
	readers ndjson.Readers
	closed  bool
}

// Open goes on with the record of a run folder. What was open when the last daemon
// was killed ended with it.
func Open(o Options) (*Ledger, error) {
	l := &Ledger{
		o: o, quit: make(chan struct{}), live: map[*Entry]struct{}{}, recent: map[asked]time.Time{},
		connections: rate.NewLimiter(perSecond, burst), questions: rate.NewLimiter(perSecond, burst),
	}
	was, err := recall(o.Dir)
	if err != nil {
		return nil, err
	}
	l.next, l.totals = was.last, was.totals
	if l.file, err = ndjson.Open(record(o.Dir)); err != nil {
		return nil, err
	}
	for _, c := range was.lost() {
		l.settle(c)
		l.note(c)
	}
	return l, nil
}

// Leave says that the gate is about to close: nobody is looked for any more.
func (l *Ledger) Leave() { l.leaving.Store(true) }

// Close ends the record. Connections that are still open end with it.
func (l *Ledger) Close() error {
	l.Leave()
	l.mu.Lock()
	left := make([]*Entry, 0, len(l.live))
	for e := range l.live {
		left = append(left, e)
	}
	l.mu.Unlock()
	for _, e := range left {
		e.End(traffic.WithDaemon, "")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.keep(l.totals)
	l.closed = true
	close(l.quit)
	return l.file.Close()
}

// Begin opens an entry for a connection that a rule allows, and starts to look for
// the process that holds s; of one that will have no lines of its own, later. measured is the socket whose bytes the kernel counts,
// the one towards the client; nil if Count does.
func (l *Ledger) Begin(c traffic.Connection, s who.Socket, measured *net.TCPConn) *Entry {
	if l == nil {
		return nil
	}
	c.Type, c.State, c.Time = traffic.TypeConnection, traffic.Open, time.Now()
	e := &Entry{l: l, c: c, measured: measured, looked: make(chan struct{}), on: l.connections.Allow()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	e.c.ID = l.next
	l.live[e] = struct{}{}
	e.begin(s)
	return e
}

// process finds who holds a socket, and at which line it went to a host.
func (l *Ledger) process(s who.Socket, host string) traffic.Process {
	if l.o.Look == nil || l.leaving.Load() {
		return traffic.Process{Unknown: traffic.Unasked}
	}
	p := l.o.Look(s)
	if l.o.Where != nil && p.HostPID != 0 {
		p.Where, _ = l.o.Where(p.HostPID, host, s.Remote)
	}
	p.Command, p.Script, p.Where = bound(p.Command), bound(p.Script), bound(p.Where)
	return p
}

// Refused counts a refusal by a rule (see traffic.KeyOf), "" by none; also one that is
// not noted, as the same was just now.
func (l *Ledger) Refused(rule string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(rule, traffic.Sum{Refused: 1})
}

// Denied shows a denial to readers.
func (l *Ledger) Denied(d denial.Denial) {
	b, err := json.Marshal(traffic.Denial{Type: traffic.TypeDenial, Denial: d})
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers.Publish(b)
}

// add counts for a rule. l.mu is held.
func (l *Ledger) add(rule string, s traffic.Sum) {
	all := l.totals.Rules
	if _, known := all[rule]; !known && len(all) >= maxRules {
		rule = ""
	}
	all[rule] = all[rule].Plus(s)
}

// settle counts what is over. l.mu is held.
func (l *Ledger) settle(c traffic.Connection) {
	l.add(c.Key(), traffic.Sum{Connections: 1, Sent: c.Sent, Received: c.Received})
}

// note writes a line, and shows it to readers. l.mu is held.
func (l *Ledger) note(v any) {
	if b := l.keep(v); b != nil {
		l.readers.Publish(b)
	}
}

// keep writes a line. l.mu is held.
func (l *Ledger) keep(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil || l.closed {
		return nil
	}
	l.write(b)
	return b
}

// write puts a line into the file. l.mu is held.
func (l *Ledger) write(b []byte) {
	if !l.file.Append(b) {
		l.totals.Dropped++
	}
	if l.file.Full() {
		if err := l.file.Turn(l.head()); err != nil && l.o.Log != nil {
			l.o.Log.Error("turn the record of connections", "dir", filepath.Base(l.o.Dir), "err", err)
		}
	}
}

// head is what a new file begins with: all that the ones before it said that still
// counts. l.mu is held.
func (l *Ledger) head() []any {
	lines := []any{l.totals}
	for e := range l.live {
		if c, on := e.onRecord(); on {
			lines = append(lines, c)
		}
	}
	return lines
}
