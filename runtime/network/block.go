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
	Attrs: []block.Attr{
		{Name: "default", Kind: block.String, OneOf: []string{"deny", "audit"}, Default: `"deny"`, Doc: "What happens to what no rule names: \"deny\" rejects it, \"audit\" allows and logs it. There is no silent allow."},
	},
	Blocks: append([]block.Block{
		{
			Name: "egress", Label: "name", Doc: "Hosts that the sandbox may reach.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "domains", Kind: block.Strings, Example: `["pypi.org"]`, Source: "RFC 1035, RFC 5891", Doc: "Host names: exact, or \"*.example.com\" for all below example.com but not itself. Names beyond ASCII are written as browsers show them. One of domains, cidrs and environments."},
				{Name: "cidrs", Kind: block.Strings, Example: `["10.20.0.0/16"]`, Source: "RFC 4632, RFC 4291", Doc: "Address blocks, or single addresses; IPv4 or IPv6. The host's own opens what the host serves, and no port that another environment publishes there: for that see environments. One of domains, cidrs and environments."},
				{Name: "environments", Kind: block.Strings, Example: `["backend"]`, Doc: "Other environments of this project, found inside at NAME.blast.internal. An ingress rule over there must name this one. One of domains, cidrs and environments."},
				{Name: "ports", Kind: block.Ints, Example: "[443]", Default: "none, and needed unless protocol is \"icmp\"", Min: 1, Max: 65535, Source: "RFC 6335", Doc: "Ports of the other side."},
				{Name: "protocol", Kind: block.String, OneOf: []string{"tcp", "udp", "icmp"}, Default: "TCP; with domains only what can be checked", Source: "tcp(7), udp(7), icmp(7)", Doc: "Without it, a connection to one of domains must name the host on ports of TLS (the server name of its ClientHello) and in each request of HTTP, whatever the port. \"tcp\" written with domains lets any bytes through, unchecked. \"udp\" and \"icmp\" (echo, as of ping) go with cidrs only: which name a packet is for can't be seen."},
				{Name: "during", Kind: block.Strings, Example: `["apply"]`, OneOf: []string{"apply", "run"}, Default: `["apply", "run"]`, Doc: "When the rule holds: while apply installs packages, or while commands run."},
				{Name: "reason", Kind: block.String, Default: "none", Doc: "Why a person allowed it. It is kept with the rule and changes nothing."},
				{Name: "owner", Kind: block.String, Example: `"team-data"`, Default: "none", Doc: "Who answers for the rule: a person, a team, an address. It is kept with the rule and changes nothing."},
				{Name: "expires", Kind: block.String, Example: `"2027-01-31"`, Default: "never", Source: "ISO 8601 date", Doc: "The last day of the rule, by the local time of the machine; afterwards it is closed. A plan warns 14 days before."},
			},
			Blocks: append(limitBlocks("What the flows of this rule"), quotaBlock),
		},
		{
			Name: "ingress", Label: "name", Doc: "Ports of the sandbox that the host, or another environment, may connect to.", NotYet: []string{"for_each"},
			Attrs: []block.Attr{
				{Name: "port", Kind: block.Int, Example: "8000", Default: "none; either port or ports", Min: 1, Max: 65535, Source: "RFC 6335", Doc: "Port in the sandbox, on its loopback; from 1024, as no command may listen below."},
				{Name: "ports", Kind: block.Ints, Example: "[8000, 8001]", Default: "none; either port or ports", Min: 1, Max: 65535, Source: "RFC 6335", Doc: "Several ports in the sandbox, each published under its own number."},
				{Name: "protocol", Kind: block.String, OneOf: []string{"tcp", "udp"}, Default: `"tcp"`, Source: "tcp(7), udp(7)", Doc: "What is listened for."},
				{Name: "publish", Kind: block.String, Example: `"127.0.0.1:8000"`, Default: "the same port on 127.0.0.1; nothing, if environments is written", Doc: "Address and port on the host, or with ports only the address. Other machines can reach it only if the address is not a loopback one; a plan says so."},
				{Name: "environments", Kind: block.Strings, Example: `["frontend"]`, Default: "none", Doc: "Other environments of this project that may connect, over TCP. An egress rule over there must name this one."},
			},
			Blocks: limitBlocks("What the visitors of this port"),
		},
		{
			Name: "dns", Doc: "Who is asked for names that a rule allows. Without the block: the host's own servers. Other names are answered by no one.",
			Attrs: []block.Attr{
				{Name: "servers", Kind: block.Strings, Required: true, Example: `["system"]`, Source: "resolv.conf(5)", Doc: "\"system\" is the host's own servers; others are addresses, with a port if it isn't 53."},
			},
		},
	}, limitBlocks("What all rules and published ports")...),
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
	r := &reading{now: time.Now, env: s.Env, src: src, diags: diags}
	if w.Now != nil {
		r.now = w.Now
	}
	p := Policy{Default: v.String("default", "deny"), DNS: r.dns(v.Block("dns")), Limits: r.limits(v, "")}
	p.Egress = slices.Grow(p.Egress, len(rules))
	for _, e := range rules {
		p.Egress = append(p.Egress, r.egress(e))
	}
	p.Ingress = r.ingresses(v.Blocks("ingress"))
	r.within(p, v)
	policy := src.Object(PolicyAddr, p)
	policy.Needs = []string{NamespaceAddr}
	return []plan.Object{block.Origins{"": src[""]}.Object(NamespaceAddr, Namespace{}), policy}, r.diags
}
