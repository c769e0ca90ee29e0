package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/state"
)

// Check implements kinds.Checker. What the kernel can do it finds out by doing
// it, in a namespace of its own that is gone afterwards.
func (h *Host) Check(_ context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, network.PolicyAddr, func(raw json.RawMessage) ([]kinds.Problem, error) {
		p := kinds.Problem{Addr: network.PolicyAddr}
		want, err := h.understood(env, raw)
		if err != nil {
			p.Reason, p.Fix = err.Error(), "Change the network block."
		} else if found, bad := tooMany(want); bad {
			p = found
		} else if err := kernelCan(); err != nil {
			p.Reason = "this kernel can't close a network: " + err.Error()
			p.Fix = "Use a kernel with network namespaces, nf_tables (inet, nat, reject, fib, log) and conntrack, and run the daemon as root."
		} else {
			return nil, nil
		}
		return []kinds.Problem{p}, nil
	})
}

// understood is a policy that could be applied.
func (h *Host) understood(env state.Env, raw json.RawMessage) (network.Policy, error) {
	if n := h.remembered(env); bytes.Equal(n.attrs, raw) {
		return n.Policy, nil
	}
	var want network.Policy
	if err := json.Unmarshal(raw, &want); err != nil {
		return want, err
	}
	_, err := prepare(want)
	return want, err
}

// probed remembers that the kernel can; what it could not it may later, when a
// module is there.
var probed atomic.Bool

// kernelCan plumbs a namespace and installs a ruleset that has all there is.
func kernelCan() (err error) {
	if probed.Load() {
		return nil
	}
	defer func() { probed.Store(err == nil) }()
	ns, err := netns.Unpinned() // a pin, and the folder for it, would outlive a daemon that is killed
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	if err := netns.Plumb(ns); err != nil {
		return err
	}
	p, err := prepare(network.Policy{Default: "audit"})
	if err != nil {
		return err
	}
	return nft.Install(ns, nft.Compile(p.rules))
}
