// Package gate is the host half of the network kind: the namespace of a sandbox
// and everything that leads out of it.
//
// A sandbox's namespace has no interface but lo, and belongs to the daemon. The
// daemon holds sockets inside; the namespace's packet filter refuses by default
// and leads what a rule allows to those sockets; the daemon decides by name,
// looks the name up, and connects from the host's network.
//
//	process ─▶ packet filter (nft) ─▶ DNS server (nameserver, names)
//	                │                 relay (relay, rules) ─▶ host's network (upstream)
//	                └▶ refused: RST, EPERM, or EACCES for a name (HTTP to it: 403), and a line in denied.ndjson
//
// What goes through is entered in the gate's books (ledger).
//
// If the daemon dies its sockets are gone and nothing gets out. The next one
// makes them again from the notes (Sync); the sandbox goes on running.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/inside"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/offer"
	"blast.example/blast/runtime/network/gate/where"
	"blast.example/blast/runtime/network/traffic"
	"blast.example/blast/state"
)

// Host observes and applies network.namespace and network.policy, and runs one
// gate per environment. See kinds for the contract.
type Host struct {
	log *slog.Logger

	// turn is had by who starts or ends gates. An end waits for the connections of its
	// gate, so nothing that is on the way of a connection may wait for this.
	turn sync.Mutex

	offers *offer.Book

	mu     sync.Mutex       // nobody waits under it
	gates  map[string]*gate // by environment id; one that ends is none any more
	failed map[string]error // why an environment has no gate though it should
	notes  map[string]noted
}

var (
	_ kinds.Host      = (*Host)(nil)
	_ kinds.Committer = (*Host)(nil)
	_ kinds.Watcher   = (*Host)(nil)
	_ kinds.Checker   = (*Host)(nil)
	_ kinds.Witness   = (*Host)(nil)
	_ kinds.Monitor   = (*Host)(nil)
)

// New returns a Host without gates; Sync starts those of an environment.
func New(log *slog.Logger) *Host {
	return &Host{log: log, gates: map[string]*gate{}, failed: map[string]error{}, notes: map[string]noted{}, offers: offer.New()}
}

// Observe implements kinds.Host. It reads addresses, routes and the packet
// filter from the kernel.
func (h *Host) Observe(_ context.Context, env state.Env) ([]plan.Object, error) {
	ns, err := netns.Open(pinPath(env))
	if errors.Is(err, netns.ErrNone) {
		return nil, nil // and no policy without a namespace
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	missing, err := netns.Inspect(ns)
	if err != nil {
		return nil, fmt.Errorf("observe network namespace: %w", err)
	}
	objs := []plan.Object{plan.NewObject(network.NamespaceAddr, network.Namespace{Missing: missing}, nil)}
	policy, err := h.observePolicy(env, ns)
	if err != nil {
		return nil, fmt.Errorf("observe network policy: %w", err)
	}
	return append(objs, policy...), nil
}

// Knows implements apply.Knower.
func (*Host) Knows(addr string) bool {
	return addr == network.NamespaceAddr || addr == network.PolicyAddr
}

// Apply implements kinds.Host.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch c.Addr {
	case network.NamespaceAddr:
		return h.applyNamespace(env, c)
	case network.PolicyAddr:
		return h.applyPolicy(env, c) //nolint:contextcheck // a gate lives as long as the environment, not as the call that started it
	}
	return fmt.Errorf("%s: no such object", c.Addr)
}

// Commit implements kinds.Committer: it lets go of what a deletion put aside.
func (h *Host) Commit(_ context.Context, env state.Env, c plan.Change) error {
	switch c.Addr {
	case network.NamespaceAddr:
		return netns.Unpin(keptPath(env))
	case network.PolicyAddr:
		if c.To == nil {
			return errors.Join(env.DropNote(namesNote), env.DropNote(filterNote), env.DropNote(usageNote), inside.Remove(env, denial.File, where.File))
		}
		h.forget(env)
		return nil
	}
	return fmt.Errorf("%s: no such object", c.Addr)
}

// Sync implements kinds.Watcher.
func (h *Host) Sync(_ context.Context, env state.Env) error {
	err := h.sync(env) //nolint:contextcheck // see Apply
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failed, env.ID)
		return nil
	}
	h.failed[env.ID] = err
	return err
}

func (h *Host) sync(env state.Env) error {
	n, ok, err := h.noted(env)
	if err != nil {
		return err
	}
	if !ok {
		h.end(env)
		return nil
	}
	g, err := h.gate(env, n.policy)
	if errors.Is(err, netns.ErrNone) {
		h.end(env)
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.publish(g, n.Ingress); err != nil {
		return err
	}
	g.follow(n.policy)
	return nil
}

// Close implements kinds.Watcher.
func (h *Host) Close() error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	all := h.gates
	h.gates = map[string]*gate{}
	h.mu.Unlock()
	for _, g := range all {
		g.close(traffic.WithDaemon, "")
	}
	return nil
}

// gate returns the environment's gate. It starts one if there is none, or if it
// serves a namespace that is not the one that is pinned now.
func (h *Host) gate(env state.Env, p policy) (*gate, error) {
	ns, err := netns.Open(pinPath(env))
	if err != nil {
		return nil, err
	}
	id, err := netns.ID(ns)
	if err != nil {
		_ = ns.Close()
		return nil, err
	}
	h.turn.Lock()
	defer h.turn.Unlock()
	if g := h.running(env); g != nil {
		if g.nsID == id {
			_ = ns.Close()
			return g, nil
		}
		h.drop(g)
	}
	g, err := start(env, ns, p, h.way(env), h.log)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gates[env.ID] = g
	return g, nil
}

// running is the environment's gate, or nil. It may end at any time, but for who has
// the turn.
func (h *Host) running(env state.Env) *gate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gates[env.ID]
}

// end stops the environment's gate, if there is one.
func (h *Host) end(env state.Env) {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	delete(h.failed, env.ID)
	delete(h.notes, env.ID)
	h.mu.Unlock()
	if g := h.running(env); g != nil {
		h.drop(g)
	}
}

// drop ends a gate. The turn is had.
func (h *Host) drop(g *gate) {
	h.mu.Lock()
	delete(h.gates, g.env.ID)
	h.mu.Unlock()
	g.close(traffic.ByPolicy, fmt.Sprintf("environment %q is not up any more", g.env.Name))
}

// Phase implements kinds.Phaser.
func (*Host) Phase() string { return "configuring network" }
