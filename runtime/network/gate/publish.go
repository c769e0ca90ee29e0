package gate

import (
	"fmt"
	"maps"
	"slices"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/traffic"
)

// A publication is a port of the sandbox that the host offers.
type publication interface {
	Retarget(port uint16)     // lead to another port of the sandbox
	Rename(rule string)       // go by the limits of another ingress rule
	Close(how, reason string) // how is one of package traffic's
}

func (g *gate) offer(in network.Ingress) (publication, error) {
	if in.Proto() == "udp" {
		return g.relay.PublishUDP(in.Name, in.Publish, in.Port)
	}
	return g.relay.Publish(in.Name, in.Publish, in.Port)
}

// publish takes the sockets on the host that want lists and the gate doesn't hold yet.
// If one can't be taken, none is. Flows of other environments that a rule for the host's
// address allows end before there is something to reach.
func (h *Host) publish(g *gate, want []network.Ingress) error {
	h.turn.Lock() // or a gate could be missed that is being started
	defer h.turn.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	add := map[string]network.Ingress{}
	for _, in := range want {
		if socket := in.Socket(); socket != "" && g.published[socket] == nil {
			add[socket] = in
		}
	}
	if len(add) == 0 {
		return nil
	}
	for _, in := range add {
		if err := h.offers.Note(g.env, in); err != nil {
			return fmt.Errorf("ingress %q: %w", in.Name, err)
		}
	}
	h.recheck(g)
	for socket, in := range add {
		p, err := g.offer(in)
		if err != nil {
			for socket := range add {
				if p := g.published[socket]; p != nil {
					p.Close(traffic.ByPolicy, "another port could not be published")
				}
				g.withdrawn(socket)
			}
			return fmt.Errorf("ingress %q: %w", in.Name, err)
		}
		g.published[socket] = p
	}
	return nil
}

// recheck has all gates but one look at what is open.
func (h *Host) recheck(but *gate) {
	h.mu.Lock()
	all := slices.Collect(maps.Values(h.gates))
	h.mu.Unlock()
	for _, g := range all {
		if g != but {
			g.relay.Recheck()
		}
	}
}

// withdrawn notes that a socket is given up. g.mu is held.
func (g *gate) withdrawn(socket string) {
	delete(g.published, socket)
	g.others.offers.Drop(g.env, socket)
}

// settle leads what is published where want says, gives up what it does not list, and
// does the same for other environments.
func (g *gate) settle(want []network.Ingress) {
	g.open(want, traffic.ByPolicy, fmt.Sprintf("environment %q lets this one in no more", g.env.Name))
	g.mu.Lock()
	defer g.mu.Unlock()
	keep := map[string]bool{}
	for _, in := range want {
		keep[in.Socket()] = true
		if p := g.published[in.Socket()]; p != nil {
			p.Retarget(in.Port)
			p.Rename(in.Name)
			_ = g.others.offers.Note(g.env, in) // its address was read before
		}
	}
	for socket, p := range g.published {
		if !keep[socket] {
			p.Close(traffic.ByPolicy, "the port is not published any more")
			g.withdrawn(socket)
		}
	}
}
