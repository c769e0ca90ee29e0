package gate

import (
	"fmt"
	"net/netip"
	"sync"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/state"
)

// offers are the sockets of the host at which environments publish ports, of all of
// them. A cidrs rule for the host's address doesn't lead there: from one environment to
// another both must name each other.
type offers struct {
	mu  sync.Mutex
	all map[offerKey]offer
}

// An offerKey is whose socket on the host it is. Two may want the same one.
type offerKey struct{ env, socket string }

type offer struct {
	env state.Env
	in  network.Ingress
	at  netip.AddrPort
}

// note says that an environment is about to publish, or goes on, by an ingress rule.
func (o *offers) note(env state.Env, in network.Ingress) error {
	at, err := netip.ParseAddrPort(in.Publish)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[offerKey{env.ID, in.Socket()}] = offer{env, in, at}
	return nil
}

// drop says that an environment has given up a socket.
func (o *offers) drop(env state.Env, socket string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, offerKey{env.ID, socket})
}

// find is what another environment offers at an address.
func (o *offers) find(from state.Env, protocol string, to netip.AddrPort, own []netip.Prefix) (offer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.all {
		if at.env.ID != from.ID && at.in.Proto() == protocol && at.answers(to, own) {
			return at, true
		}
	}
	return offer{}, false
}

// answers reports whether who connects to an address gets there. What listens at no
// address in particular does so at all of the host's, of IPv4 and IPv6.
func (o offer) answers(to netip.AddrPort, own []netip.Prefix) bool {
	switch {
	case o.at.Port() != to.Port():
		return false
	case !o.at.Addr().IsUnspecified():
		return o.at.Addr() == to.Addr()
	case to.Addr().IsLoopback():
		return true
	}
	for _, p := range own {
		if p.Addr() == to.Addr() {
			return true
		}
	}
	return false
}

// taken says why an environment doesn't reach an address, as another one publishes
// there.
func (h *Host) taken(from state.Env) func(string, netip.AddrPort, []netip.Prefix) (rules.Verdict, bool) {
	return func(protocol string, to netip.AddrPort, own []netip.Prefix) (rules.Verdict, bool) {
		at, taken := h.offers.find(from, protocol, to, own)
		if !taken {
			return rules.Verdict{}, false
		}
		v := rules.Verdict{Final: true, Reason: at.why(from)}
		v.Told = "a cidrs rule opens no port that environments publish"
		return v, true
	}
}

// why says what to write in the place of a rule for the host's address.
func (o offer) why(from state.Env) string {
	here, ok := from.Home()
	there, up := o.env.Home()
	if !ok || !up || here.Project != there.Project {
		return "an environment of another project publishes this port, and a cidrs rule doesn't open it"
	}
	if o.in.Proto() != "tcp" {
		return fmt.Sprintf("environment %q publishes this port (ingress %q), which a cidrs rule doesn't open; environments reach each other over TCP only", there.Name, o.in.Name)
	}
	return fmt.Sprintf("environment %q publishes this port (ingress %q), which a cidrs rule doesn't open: write environments = [%q] and port %d in an egress rule here, environments = [%q] in that ingress rule, and connect to %s.%s:%d",
		there.Name, o.in.Name, there.Name, o.in.Port, here.Name, there.Name, network.Zone, o.in.Port)
}
