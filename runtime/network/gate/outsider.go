package gate

import (
	"context"
	"errors"
	"os"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/hand"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/state"
)

// filterNote keeps who changed the packet filter last over a restart of the daemon.
const filterNote = "filter"

// watchHands notes who changes the packet filter, until the returned function is
// called.
func (g *gate) watchHands(ns *os.File) (stop func(), err error) {
	last := hand.Hand{NS: g.nsID}
	if was, err := lastHand(g.env); err == nil && was.NS == g.nsID {
		last = was
	}
	g.hands, err = nft.NewWatch(ns, func(cs []nft.Commit) {
		last = last.After(cs)
		if err := g.env.WriteNote(filterNote, last); err != nil {
			g.log.Error("note who changed the packet filter", "env", g.env.ID, "err", err)
		}
	})
	if err != nil {
		return nil, err
	}
	return g.hands.Close, nil
}

func lastHand(env state.Env) (hand.Hand, error) {
	var h hand.Hand
	_, err := env.ReadNote(filterNote, &h)
	return h, err
}

// Witness implements kinds.Witness: who changed the packet filter last. The kernel
// counts rulesets, so that one whose maker was not seen, as no daemon ran, is noticed.
func (h *Host) Witness(_ context.Context, env state.Env) (map[string]string, error) {
	ns, err := netns.Open(pinPath(env))
	if errors.Is(err, netns.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	nsID, err := netns.ID(ns)
	if err != nil {
		return nil, err
	}
	h.catch(env)
	id, err := nft.Generation(ns)
	if err != nil {
		return nil, err
	}
	last, err := lastHand(env)
	if err != nil {
		return nil, err
	}
	known := map[string]string{network.NamespaceAddr: hand.Unknown}
	if by := last.Tell(nsID, id); by != "" {
		known[network.PolicyAddr] = by
	}
	return known, nil
}

// catch has noted all transactions until now, if a gate watches them.
func (h *Host) catch(env state.Env) {
	if g := h.running(env); g != nil {
		g.hands.Catch()
	}
}
