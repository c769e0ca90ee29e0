package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/state"
)

// policyNote holds the policy that was applied last.
const policyNote = "network"

// prepare checks a policy and makes it ready.
func prepare(p network.Policy) (policy, error) {
	p.Drift = nil
	rs, err := rules.Compile(p)
	if err != nil {
		return policy{}, err
	}
	for _, s := range p.DNS {
		if s == upstream.System {
			continue
		}
		if _, err := netip.ParseAddrPort(s); err != nil {
			return policy{}, fmt.Errorf("name server %q: %w", s, err)
		}
	}
	return policy{p, rs, upstream.NewResolver(p.DNS)}, nil
}

// observePolicy compares the kernel's packet filter with that of the policy
// which was applied.
func (h *Host) observePolicy(env state.Env, ns *os.File) (network.Policy, bool, error) {
	var p network.Policy
	noted, err := env.ReadNote(policyNote, &p)
	if err != nil {
		return p, false, err
	}
	if !noted {
		present, err := nft.Present(ns)
		return network.Policy{Drift: []string{"a packet filter that nobody recorded"}}, present, err
	}
	ready, err := prepare(p)
	if err != nil {
		return p, false, err
	}
	p.Drift, err = nft.Compare(ns, nft.Compile(ready.rules))
	if err != nil {
		return p, false, err
	}
	ping, err := netns.InspectPing(ns, ready.rules.Pings())
	if err != nil {
		return p, false, err
	}
	p.Drift = append(p.Drift, ping...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.failed[env.ID]; err != nil {
		p.Drift = append(p.Drift, "nothing gets through: "+err.Error())
	}
	p.Drift = append(p.Drift, h.gates[env.ID].unmeasured(p)...)
	return p, true, nil
}

// applyPolicy makes the packet filter, the relay's rules and the published
// ports follow one policy. What may fail comes first and changes nothing.
func (h *Host) applyPolicy(env state.Env, c plan.Change) error {
	var from, to network.Policy
	_, wanted, err := c.Sides(&from, &to)
	if err != nil {
		return err
	}
	if !wanted {
		return h.deletePolicy(env)
	}
	p, err := prepare(to)
	if err != nil {
		return err
	}
	g, err := h.gate(env, p)
	if err != nil {
		return fmt.Errorf("start the gate: %w", err)
	}
	if err := g.publish(p.Ingress); err != nil {
		return err
	}
	if err := nft.Install(g.ns, nft.Compile(p.rules)); err != nil {
		return err
	}
	if err := netns.AllowPing(g.ns, p.rules.Pings()); err != nil {
		return err
	}
	g.follow(p)
	g.meters.Renew()
	if err := env.WriteNote(policyNote, p.Policy); err != nil {
		return err
	}
	h.mu.Lock()
	delete(h.failed, env.ID)
	h.mu.Unlock()
	return nil
}

// deletePolicy ends the gate first: from then on nothing gets out, whatever
// the packet filter says.
func (h *Host) deletePolicy(env state.Env) error {
	h.end(env)
	ns, err := netns.Open(pinPath(env))
	if err == nil {
		err = errors.Join(netns.AllowPing(ns, false), nft.Remove(ns))
		_ = ns.Close()
	}
	if err != nil && !errors.Is(err, netns.ErrNone) {
		return err
	}
	return env.DropNote(policyNote)
}
