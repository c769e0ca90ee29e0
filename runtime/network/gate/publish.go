package gate

import (
	"fmt"

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

// publish takes the sockets on the host that want lists and are not held yet.
// If one can't be taken, none is.
func (g *gate) publish(want []network.Ingress) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := map[string]publication{}
	for _, in := range want {
		socket := in.Socket()
		if socket == "" || g.published[socket] != nil || added[socket] != nil {
			continue
		}
		p, err := g.offer(in)
		if err != nil {
			for _, a := range added {
				a.Close(traffic.ByPolicy, "another port could not be published")
			}
			return fmt.Errorf("ingress %q: %w", in.Name, err)
		}
		added[socket] = p
	}
	for socket, p := range added {
		g.published[socket] = p
	}
	return nil
}

// settle leads what is published where want says, gives up what it does not list, and
// does the same for other environments.
func (g *gate) settle(want []network.Ingress) {
	g.open(want)
	g.mu.Lock()
	defer g.mu.Unlock()
	keep := map[string]bool{}
	for _, in := range want {
		keep[in.Socket()] = true
		if p := g.published[in.Socket()]; p != nil {
			p.Retarget(in.Port)
			p.Rename(in.Name)
		}
	}
	for socket, p := range g.published {
		if !keep[socket] {
			p.Close(traffic.ByPolicy, "the port is not published any more")
			delete(g.published, socket)
		}
	}
}
