package gate

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

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
	var gone []network.Ingress
	for socket, in := range add {
		p, err := g.offer(in)
		if errors.Is(err, unix.EADDRINUSE) {
			if old := g.yield(in, want); len(old) > 0 {
				gone = append(gone, old...)
				p, err = g.offer(in)
			}
		}
		if err != nil {
			g.takeBack(add, gone)
			return fmt.Errorf("ingress %q: %w", in.Name, err)
		}
		g.published[socket] = p
	}
	return nil
}

// yield gives up what is published at a socket that can't be had beside the one for in,
// and isn't wanted any more: the same port at more addresses, or at fewer. g.mu is held.
func (g *gate) yield(in network.Ingress, want []network.Ingress) (gone []network.Ingress) {
	for _, old := range g.others.offers.Of(g.env) {
		p := g.published[old.Socket()]
		kept := slices.ContainsFunc(want, func(w network.Ingress) bool { return w.Socket() == old.Socket() })
		if p == nil || kept || !old.Overlaps(in) {
			continue
		}
		p.Close(traffic.ByPolicy, "the port is published at another address")
		g.withdrawn(old.Socket())
		gone = append(gone, old)
	}
	return gone
}

// takeBack gives up what was added, and publishes again what made way. g.mu is held.
func (g *gate) takeBack(added map[string]network.Ingress, gone []network.Ingress) {
	for socket := range added {
		if p := g.published[socket]; p != nil {
			p.Close(traffic.ByPolicy, "another port could not be published")
		}
		g.withdrawn(socket)
	}
	for _, in := range gone {
		p, err := g.offer(in)
		if err == nil {
			err = g.others.offers.Note(g.env, in)
			g.published[in.Socket()] = p
		}
		if err != nil {
			g.log.Error("publish again", "env", g.env.ID, "ingress", in.Name, "err", err)
		}
	}
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
