package network

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is the network block, as a person writes it.
type Words struct {
	Now func() time.Time // the day that expires is compared with; nil is time.Now
}

// Name implements config.Words.
func (Words) Name() string { return "network" }

// Spec is the declaration of the network block.
var Spec = block.Block{
	Name: "network", Doc: "What the sandbox may talk to, and what may talk to it.",
	NotYet: []string{"bandwidth", "connections"},
	Attrs: []block.Attr{
		{Name: "default", Kind: block.String, OneOf: []string{"deny", "audit"}, Doc: "What happens to what no rule names: deny, or audit: allow and log. Default deny."},
	},
	Blocks: []block.Block{
		{
			Name: "egress", Label: "name", Doc: "Hosts that the sandbox may reach.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "domains", Kind: block.Strings, Example: `["pypi.org"]`, Doc: "Exact names, or \"*.example.com\" for all below."},
				{Name: "cidrs", Kind: block.Strings, Example: `["10.20.0.0/16"]`, Doc: "Address blocks. Either domains or cidrs."},
				{Name: "ports", Kind: block.Ints, Required: true, Example: "[443]", Min: 1, Max: 65535, Doc: "Ports."},
				{Name: "protocol", Kind: block.String, OneOf: []string{"tcp", "udp"}, Doc: "Default tcp; udp goes with cidrs only."},
				{Name: "during", Kind: block.Strings, Example: `["apply"]`, OneOf: []string{"apply", "run"}, Doc: "When the rule holds. Default both."},
				{Name: "reason", Kind: block.String, Doc: "Why a person allowed it."},
				{Name: "expires", Kind: block.String, Example: `"2027-01-31"`, Doc: "After this day the rule is closed."},
			},
		},
		{
			Name: "ingress", Label: "name", Doc: "A port of the sandbox that is published on the host.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "port", Kind: block.Int, Required: true, Example: "8000", Min: 1, Max: 65535, Doc: "In the sandbox."},
				{Name: "publish", Kind: block.String, Example: `"127.0.0.1:8000"`, Doc: "On the host. Default the same port on 127.0.0.1."},
			},
		},
		{
			Name: "dns", Doc: "Who answers names that a rule allows.",
			Attrs: []block.Attr{
				{Name: "servers", Kind: block.Strings, Required: true, Example: `["system"]`, Doc: "\"system\", or addresses, with ports."},
			},
		},
	},
}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(nil, []block.Block{Spec}) }

// Decode implements config.Words. Without a network block nothing is reachable.
func (w Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(nil, []block.Block{Spec})
	v := root.Block("network")
	src := map[string]string{"": s.Place()}
	v.Sources(src, "")
	r := &reading{now: time.Now, src: src, diags: diags}
	if w.Now != nil {
		r.now = w.Now
	}
	p := Policy{Default: v.String("default", "deny"), DNS: r.dns(v.Block("dns"))}
	for _, e := range v.Blocks("egress") {
		p.Egress = append(p.Egress, r.egress(e))
	}
	p.Ingress = r.ingresses(v.Blocks("ingress"))
	return []plan.Object{
		plan.NewObject(NamespaceAddr, Namespace{}, map[string]string{"": src[""]}),
		plan.NewObject(PolicyAddr, p, src),
	}, r.diags
}
