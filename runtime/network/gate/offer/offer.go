// Package offer knows at which sockets of the host environments publish ports, of all of
// them. A cidrs rule for the host's address doesn't lead there: from one environment to
// another both must name each other.
package offer

import (
	"fmt"
	"net/netip"
	"sync"

	"blast.example/blast/runtime/network"
	"blast.example/blast/state"
)

// A Book has all offers of a host. It may be used by several goroutines.
type Book struct {
	mu  sync.Mutex
	all map[key]Offer
}

// New returns a Book without offers.
func New() *Book { return &Book{all: map[key]Offer{}} }

// A key is whose socket on the host it is. Two may want the same one.
type key struct{ env, socket string }

// An Offer is a port that an environment publishes.
type Offer struct {
	env state.Env
	in  network.Ingress
	at  netip.AddrPort
}

// Note says that an environment is about to publish, or goes on, by an ingress rule.
func (b *Book) Note(env state.Env, in network.Ingress) error {
	at, err := netip.ParseAddrPort(in.Publish)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[key{env.ID, in.Socket()}] = Offer{env, in, at}
	return nil
}

// Drop says that an environment has given up a socket.
func (b *Book) Drop(env state.Env, socket string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, key{env.ID, socket})
}

// Of is what an environment offers.
func (b *Book) Of(env state.Env) []network.Ingress {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []network.Ingress
	for k, o := range b.all {
		if k.env == env.ID {
			all = append(all, o.in)
		}
	}
	return all
}

// Find is what another environment offers at an address.
func (b *Book) Find(from state.Env, protocol string, to netip.AddrPort, own []netip.Prefix) (Offer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range b.all {
		if at.env.ID != from.ID && at.in.Proto() == protocol && at.answers(to, own) {
			return at, true
		}
	}
	return Offer{}, false
}

// answers reports whether who connects to an address gets there. What listens at no
// address in particular does so at all of the host's, of IPv4 and IPv6.
func (o Offer) answers(to netip.AddrPort, own []netip.Prefix) bool {
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

// Why says what to write in the place of a rule for the host's address.
func (o Offer) Why(from state.Env) string {
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
