package network

import (
	"slices"
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
		{Name: "default", Kind: block.String, OneOf: []string{"deny", "audit"}, Default: `"deny"`, Doc: "What happens to what no rule names: \"deny\" rejects it, \"audit\" allows and logs it. There is no silent allow."},
	},
	Blocks: []block.Block{
		{
			Name: "egress", Label: "name", Doc: "Hosts that the sandbox may reach.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "domains", Kind: block.Strings, Example: `["pypi.org"]`, Source: "RFC 1035, RFC 5891", Doc: "Host names: exact, or \"*.example.com\" for all below example.com but not itself. Names beyond ASCII are written as browsers show them. Either domains or cidrs."},
				{Name: "cidrs", Kind: block.Strings, Example: `["10.20.0.0/16"]`, Source: "RFC 4632, RFC 4291", Doc: "Address blocks, or single addresses; IPv4 or IPv6. Either domains or cidrs."},
				{Name: "ports", Kind: block.Ints, Required: true, Example: "[443]", Min: 1, Max: 65535, Source: "RFC 6335", Doc: "Ports of the other side."},
				{Name: "protocol", Kind: block.String, OneOf: []string{"tcp", "udp"}, Default: `"tcp"`, Source: "tcp(7), udp(7)", Doc: "\"udp\" goes with cidrs only: which name a datagram is for can't be seen."},
				{Name: "during", Kind: block.Strings, Example: `["apply"]`, OneOf: []string{"apply", "run"}, Default: `["apply", "run"]`, Doc: "When the rule holds: while apply installs packages, or while commands run."},
				{Name: "reason", Kind: block.String, Default: "none", Doc: "Why a person allowed it. It is kept with the rule and changes nothing."},
				{Name: "expires", Kind: block.String, Example: `"2027-01-31"`, Default: "never", Source: "ISO 8601 date", Doc: "The last day of the rule, by the local time of the machine; afterwards it is closed. A plan warns 14 days before."},
			},
		},
		{
			Name: "ingress", Label: "name", Doc: "A port of the sandbox that is published on the host.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "port", Kind: block.Int, Required: true, Example: "8000", Min: 1, Max: 65535, Source: "RFC 6335", Doc: "Port in the sandbox, on its loopback; from 1024, as no command may listen below."},
				{Name: "publish", Kind: block.String, Example: `"127.0.0.1:8000"`, Default: "the same port on 127.0.0.1", Doc: "Address and port on the host. Other machines can reach it only if the address is not a loopback one; a plan says so."},
			},
		},
		{
			Name: "dns", Doc: "Who is asked for names that a rule allows. Without the block: the host's own servers. Other names are answered by no one.",
			Attrs: []block.Attr{
				{Name: "servers", Kind: block.Strings, Required: true, Example: `["system"]`, Source: "resolv.conf(5)", Doc: "\"system\" is the host's own servers; others are addresses, with a port if it isn't 53."},
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
	rules := v.Blocks("egress")
	src := make(block.Origins, 4*len(rules)+8)
	src[""] = s.Origin()
	v.Sources(src, "")
	r := &reading{now: time.Now, src: src, diags: diags}
	if w.Now != nil {
		r.now = w.Now
	}
	p := Policy{Default: v.String("default", "deny"), DNS: r.dns(v.Block("dns"))}
	p.Egress = slices.Grow(p.Egress, len(rules))
	for _, e := range rules {
		p.Egress = append(p.Egress, r.egress(e))
	}
	p.Ingress = r.ingresses(v.Blocks("ingress"))
	policy := src.Object(PolicyAddr, p)
	policy.Needs = []string{NamespaceAddr}
	return []plan.Object{block.Origins{"": src[""]}.Object(NamespaceAddr, Namespace{}), policy}, r.diags
}
