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
func (h *Host) observePolicy(env state.Env, ns *os.File) ([]plan.Object, error) {
	n, there, err := h.noted(env)
	if err != nil {
		return nil, err
	}
	if !there {
		present, err := nft.Present(ns)
		if err != nil || !present {
			return nil, err
		}
		return []plan.Object{plan.NewObject(network.PolicyAddr, network.Policy{Drift: []string{"a packet filter that nobody recorded"}}, nil)}, nil
	}
	drift, err := h.drift(env, ns, n.policy)
	if err != nil {
		return nil, err
	}
	if len(drift) == 0 {
		return []plan.Object{{Addr: network.PolicyAddr, Attrs: n.attrs}}, nil
	}
	is := n.Policy
	is.Drift = drift
	return []plan.Object{plan.NewObject(network.PolicyAddr, is, nil)}, nil
}

// drift is how the kernel and the gate differ from a policy.
func (h *Host) drift(env state.Env, ns *os.File, p policy) ([]string, error) {
	drift, err := nft.Compare(ns, nft.Compile(p.rules))
	if err != nil {
		return nil, err
	}
	ping, err := netns.InspectPing(ns, p.rules.Pings())
	if err != nil {
		return nil, err
	}
	drift = append(drift, ping...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.failed[env.ID]; err != nil {
		drift = append(drift, "nothing gets through: "+err.Error())
	}
	return append(drift, h.gates[env.ID].unmeasured(p.Policy)...), nil
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
	if err := h.publish(g, p.Ingress); err != nil {
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
