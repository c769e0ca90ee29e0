package meter

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
)

// A Flow is one open connection. Its methods may be used by several goroutines.
type Flow struct {
	m       *Meters
	visitor bool // came to a published port
	seq     uint64
	rule    atomic.Pointer[gauge] // nil: no rule named it, as the default is "audit"
	beside  atomic.Pointer[Flow]  // the same connection, as the environment sees it that it leads to
	on      Events
	closed  bool // Meters.mu guards it
}

// Events are what a Flow is told. They are called without locks, and may come late:
// after Close, too.
type Events struct {
	Cut  func(error) // it must end, as a limit forbids it now
	Wake func()      // whether it is metered may have changed
}

func (f *Flow) gauges() []*gauge {
	if g := f.rule.Load(); g != nil {
		return []*gauge{g, f.m.whole}
	}
	return []*gauge{f.m.whole}
}

// Join has the connection held to another environment's limits, too: it leads there,
// so what leaves the one comes into the other.
func (f *Flow) Join(to *Flow) {
	f.beside.Store(to)
	f.on.Wake()
}

// Metered reports whether Take does anything now.
func (f *Flow) Metered(d Direction) bool {
	for _, g := range f.gauges() {
		if g.metered[d].Load() {
			return true
		}
	}
	b := f.beside.Load()
	return b != nil && b.Metered(d.Other())
}

// Piece is how many bytes to Take at once, so that they go evenly; from 1460 to 16384.
func (f *Flow) Piece(d Direction) int {
	n := maxPiece
	for _, g := range f.gauges() {
		n = min(n, g.buckets[d].piece())
	}
	if b := f.beside.Load(); b != nil {
		n = min(n, b.Piece(d.Other()))
	}
	return n
}

// Take returns when n bytes may go. An error is a *LimitError if the quota is used up,
// and ctx's if that is done first.
func (f *Flow) Take(ctx context.Context, d Direction, n int) error {
	if !f.Metered(d) {
		return nil
	}
	for _, g := range f.gauges() {
		counted, refusal := g.spend(d, n)
		if counted {
			f.m.touch()
		}
		if refusal != nil {
			f.m.end(g, f, refusal)
			return refusal
		}
	}
	for _, g := range f.gauges() {
		waited, err := g.buckets[d].take(ctx, n)
		g.slowed(d, waited)
		if err != nil {
			return err
		}
	}
	if b := f.beside.Load(); b != nil {
		return b.Take(ctx, d.Other(), n)
	}
	return nil
}

// Drop counts a datagram that could not wait.
func (f *Flow) Drop(d Direction) {
	for _, g := range f.gauges() {
		if g.metered[d].Load() {
			g.noted(func(c *Count) { pace(c, d).Dropped++ })
		}
	}
}

// Move has another rule hold the flow, as the policy changed. It is not refused
// for that, but the rule's quota and bandwidth hold for it from now on.
func (f *Flow) Move(rule string) {
	f.m.mu.Lock()
	to, from := f.m.rules[rule], f.rule.Load()
	if to == from || f.closed {
		f.m.mu.Unlock()
		return
	}
	if from != nil {
		delete(from.flows, f)
	}
	if to != nil {
		to.flows[f] = struct{}{}
	}
	f.rule.Store(to)
	f.m.mu.Unlock()
	f.on.Wake()
}

// Close gives its place back.
func (f *Flow) Close() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	if !f.visitor {
		f.m.inside--
	}
	for _, g := range f.gauges() {
		delete(g.flows, f)
	}
}

// youngest are the n of some that were opened last.
func youngest(flows map[*Flow]struct{}, n int, some func(*Flow) bool) []*Flow {
	all := make([]*Flow, 0, len(flows))
	for f := range flows {
		if some(f) {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *Flow) int { return cmp.Compare(b.seq, a.seq) })
	return all[:n]
}
