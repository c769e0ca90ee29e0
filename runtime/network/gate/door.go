package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/offer"
	"blast.example/blast/runtime/network/gate/relay"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/state"
)

// A way is what a gate asks of its host: what is of other environments.
type way struct {
	enter  relay.Enter
	taken  upstream.Taken
	offers *offer.Book
}

func (h *Host) way(from state.Env) way { return way{h.enter(from), h.taken(from), h.offers} }

// taken says why an environment doesn't reach an address, as another one publishes
// there.
func (h *Host) taken(from state.Env) upstream.Taken {
	return func(protocol string, to netip.AddrPort, own []netip.Prefix) (rules.Verdict, bool) {
		at, taken := h.offers.Find(from, protocol, to, own)
		if !taken {
			return rules.Verdict{}, false
		}
		return rules.Verdict{Final: true, Reason: at.Why(from), Told: "a cidrs rule opens no port that environments publish"}, true
	}
}

// enter is how the relay of an environment reaches others of the same project: both
// must say so. The egress rule was asked before; here the ingress rule is.
func (h *Host) enter(from state.Env) relay.Enter {
	return func(ctx context.Context, env string, port uint16, guest relay.Guest) (*relay.Entry, error) {
		here, ok := from.Home()
		if !ok {
			return nil, closed("this environment has no project any more, and so no neighbours")
		}
		to := h.neighbour(here.Project, env)
		if to == nil {
			return nil, closed("environment %q is not up", env)
		}
		d := to.door(here.Name, port)
		if d == nil {
			return nil, closed("no ingress rule of environment %q lets %q in at port %d", env, here.Name, port)
		}
		guest.From = here.Name
		e, err := d.Enter(ctx, guest)
		var why *meter.LimitError
		if errors.As(err, &why) { // of the other, whose lines it is about
			return nil, closed("environment %q: %v", env, why)
		}
		return e, err
	}
}

// neighbour is the gate of an environment of the project that is in the folder now, or
// nil. A gate knows where its project was when it was started: that may have been moved
// since, and another one may be in its place.
func (h *Host) neighbour(project, name string) *gate {
	h.mu.Lock()
	named := slices.DeleteFunc(slices.Collect(maps.Values(h.gates)), func(g *gate) bool { return g.env.Name != name })
	h.mu.Unlock()
	for _, g := range named { // their records are read, which may take a while
		if now, ok := g.env.Home(); ok && now.Project == project && now.Name == name {
			return g
		}
	}
	return nil
}

func closed(format string, args ...any) error {
	return &upstream.RefusedError{Verdict: rules.Verdict{Reason: fmt.Sprintf(format, args...)}}
}

// A doorKey is who may enter where.
type doorKey struct {
	from string // an environment of the same project
	port uint16
}

// doors are those of one environment. They have a lock of their own: who comes from
// another environment shall not wait for a port of the host's that is given up.
type doors struct {
	mu  sync.Mutex
	all map[doorKey]*relay.Door
}

// door is what lets another environment in, or nil.
func (g *gate) door(from string, port uint16) *relay.Door {
	g.doors.mu.Lock()
	defer g.doors.mu.Unlock()
	return g.doors.all[doorKey{from, port}]
}

// open lets in who want lists, and nobody else: who is inside otherwise is cut; how and
// reason say why.
func (g *gate) open(want []network.Ingress, how, reason string) {
	g.doors.mu.Lock()
	defer g.doors.mu.Unlock()
	keep := map[doorKey]bool{}
	for _, in := range want {
		for _, from := range in.Environments {
			k := doorKey{from, in.Port}
			keep[k] = true
			if d := g.doors.all[k]; d != nil {
				d.Rename(in.Name)
			} else {
				g.doors.all[k] = g.relay.NewDoor(in.Name, in.Port)
			}
		}
	}
	for k, d := range g.doors.all {
		if !keep[k] {
			d.Close(how, reason)
			delete(g.doors.all, k)
		}
	}
}
