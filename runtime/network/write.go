package network

import (
	"fmt"
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
		var ports []int64
		for _, n := range e.Ports {
			ports = append(ports, int64(n))
		}
		b.Ints("ports", ports)
		if e.Protocol != "tcp" {
			b.Text("protocol", e.Protocol)
		}
		if !slices.Equal(e.During, []string{"apply", "run"}) {
			b.Texts("during", e.During)
		}
		b.Text("reason", e.Reason)
		b.Text("expires", e.Expires)
	}
	for _, in := range p.Ingress {
		b := to.Block("ingress", in.Name)
		b.Int("port", int64(in.Port))
		b.Text("publish", in.Publish)
	}
	if len(p.DNS) > 0 {
		to.Block("dns").Texts("servers", p.DNS)
	}
}
