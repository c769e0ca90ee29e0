package gate

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/where"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
	"blast.example/blast/state"
)

// openBooks opens the records of what is refused, of what is allowed, and of what
// programs say of themselves.
func (g *gate) openBooks() (err error) {
	if g.denied, err = denial.Open(filepath.Join(g.env.Run, denial.File)); err != nil {
		return err
	}
	g.stop = append(g.stop, func() { _ = g.denied.Close() })
	if _, err = inside.Make(g.env); err != nil {
		return err
	}
	if err = g.denied.ShowAt(inside.Path(g.env, denial.File), denial.Choice(g.env.Name)...); err != nil {
		return err
	}
	if g.claims, err = where.Listen(inside.Path(g.env, where.File)); err != nil {
		return err
	}
	g.stop = append(g.stop, g.claims.Close)
	g.book, err = ledger.Open(ledger.Options{Dir: g.env.Run, Log: g.log, Look: g.lookFor, Where: g.claims.Where, Limits: g.meters.Snapshot, Filter: g.filtered, Delayed: g.delayed})
	if err != nil {
		return err
	}
	g.stop = append(g.stop, func() { _ = g.book.Close() })
	g.denied.Tell = g.book.Denied
	return nil
}

// lookFor finds the process that is behind a socket, or why it can't be told.
func (g *gate) lookFor(s who.Socket) traffic.Process {
	p, err := g.who.Find(s)
	if s.Listens && errors.Is(err, who.ErrGone) { // perhaps at the other loopback address
		s.Local = netip.AddrPortFrom(netns.Loopback6, s.Local.Port())
		p, err = g.who.Find(s)
	}
	switch {
	case errors.Is(err, who.ErrGone):
		return traffic.Process{Unknown: traffic.Gone}
	case err != nil:
		return traffic.Process{Unknown: traffic.Unasked}
	}
	return traffic.Process{PID: p.PID, HostPID: p.HostPID, UID: p.UID, Command: p.Command, Script: p.Script}
}

// delayed is how often a queue in the sandbox was full; 0 if it can't be read.
func (g *gate) delayed() uint64 {
	n, err := netns.Delayed(g.ns)
	if err != nil {
		g.log.Warn("read how many connections were delayed", "env", g.env.ID, "err", err)
	}
	return n
}

// filtered is what the packet filter has counted; nothing if it can't be read.
func (g *gate) filtered() []traffic.Counter {
	cs, err := nft.Count(g.ns, nft.Compile(g.rules.Load()))
	if err != nil {
		g.log.Warn("read the packet filter's counters", "env", g.env.ID, "err", err)
	}
	return cs
}

// Records implements kinds.Monitor.
func (*Host) Records() []string { return []string{traffic.Record} }

// Monitor implements kinds.Monitor.
func (h *Host) Monitor(ctx context.Context, env state.Env, a kinds.Asking, tell func(json.RawMessage) error) error {
	g := h.running(env)
	if g == nil {
		return ledger.Past(env.Run, tell)
	}
	return g.book.Show(ctx, a.Follow, tell)
}
