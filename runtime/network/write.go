package network

import (
	"fmt"
	"net/netip"
	"slices"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

var _ kinds.Porter = Words{}

// Leave implements kinds.Porter: rules are the same everywhere.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) { return objs, nil }

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	for _, o := range objs {
		if o.Addr == NamespaceAddr {
			continue // it has no choices
		}
		var p Policy
		if o.Addr != PolicyAddr {
			return fmt.Errorf("%s: no such object", o.Addr)
		}
		if err := kinds.Strictly(o, &p); err != nil {
			return err
		}
		p.write(to.Block("network"))
	}
	return nil
}

func (p Policy) write(to *block.Writer) {
	to.Text("default", p.Default)
	for _, e := range p.Egress {
		b := to.Block("egress", e.Name)
		b.Texts("domains", e.Domains)
		b.Texts("cidrs", e.CIDRs)
		b.Texts("environments", e.Environments)
		var ports []int64
		for _, n := range e.Ports {
			ports = append(ports, int64(n))
		}
		b.Ints("ports", ports)
		if e.Protocol != "tcp" || e.Opaque {
			b.Text("protocol", e.Protocol)
		}
		if !slices.Equal(e.During, []string{"apply", "run"}) {
			b.Texts("during", e.During)
		}
		b.Text("reason", e.Reason)
		b.Text("owner", e.Owner)
		b.Text("expires", e.Expires)
		e.write(b)
		e.Quota.write(b)
	}
	for _, name := range blocks(p.Ingress) {
		writeIngress(named(p.Ingress, name), to.Block("ingress", name))
	}
	if len(p.DNS) > 0 {
		to.Block("dns").Texts("servers", p.DNS)
	}
	p.Limits.write(to)
}

// writeIngress writes the ports of one block, each of which differs from the others by
// its number only.
func writeIngress(ins []Ingress, to *block.Writer) {
	in := ins[0]
	if len(ins) == 1 {
		to.Int("port", int64(in.Port))
		to.Text("publish", in.Publish)
	} else {
		ports := make([]int64, len(ins))
		for i, one := range ins {
			ports[i] = int64(one.Port)
		}
		to.Ints("ports", ports)
		if at, err := netip.ParseAddrPort(in.Publish); err == nil {
			to.Text("publish", at.Addr().String())
		}
	}
	to.Text("protocol", in.Protocol)
	to.Texts("environments", in.Environments)
	in.write(to)
}
