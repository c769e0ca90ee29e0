package nft

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
)

// TableName is the one table in a sandbox's namespace, of family inet.
const TableName = "blast"

// LogGroup is the NFLOG group of refused packets, LogBytes how much is copied
// of each: an IPv6 header without options and the ports.
const (
	LogGroup = 53
	LogBytes = 64
)

// LogDenied is the prefix of what is logged.
const LogDenied = "denied"

// PingGroup is the NFLOG group of echo requests that a rule allows, which are copied
// whole. PingBytes is the longest, with its IP header: the MTU of Ethernet, as a relay of
// fragments would be one more thing to attack. A rule lets PingsPerSecond through.
const (
	PingGroup      = 54
	PingBytes      = 1500
	PingsPerSecond = 100
)

// BarrierMark is on packets that the gate sends to see what was logged before them.
const BarrierMark = 0xb1a57

// A Ruleset is what the kernel is to hold.
type Ruleset struct{ chains []chain }

type chain struct {
	nftables.Chain
	rules []rule
}

type rule struct {
	note    string // its comment in the kernel, and its name in messages
	exprs   []expr.Any
	counter *expr.Counter // among exprs: what it begins to count from; nil if it doesn't count
	egress  string        // the rule of the policy that it is for
	refuses bool
}

func (c *chain) add(note string, ms ...match) {
	c.rules = append(c.rules, rule{note: note, exprs: join(ms...)})
}

// count adds a rule that counts what it decides about.
func (c *chain) count(note string, which []match, what match) *rule {
	n := &expr.Counter{}
	c.add(note, append(which, match{n}, what)...)
	r := &c.rules[len(c.rules)-1]
	r.counter = n
	return r
}

// refuse adds a rule that counts what it refuses.
func (c *chain) refuse(note string, what match, which ...match) {
	c.count(note, which, what).refuses = true
}

// Compile makes the ruleset of a policy.
func Compile(r *rules.Rules) Ruleset {
	return Ruleset{[]chain{filter(r), nat()}}
}

// filter decides by the destination that the process wanted. Whatever a bug
// here may let through meets the policy again in the relay.
func filter(r *rules.Rules) chain {
	drop := nftables.ChainPolicyDrop
	c := chain{Chain: nftables.Chain{
		Name: "out", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityRef(-150), Policy: &drop,
	}}
	c.add("log barriers", marked(BarrierMark), logAll())
	c.add("barriers", marked(BarrierMark), forbid())
	c.add("answers", isReply(), accept())
	gatePorts(&c)
	c.add("the sandbox itself", toLocal(), accept())
	for _, name := range []string{"udp", "tcp"} {
		c.count("dns over "+name, []match{proto(protoNumber(name)), port(portRange{netns.DNSPort, netns.DNSPort})}, accept())
	}
	for _, p := range ranges(r.NamedPorts()) {
		c.count("named hosts", []match{to(netns.Named), proto(unix.IPPROTO_TCP), port(p)}, accept())
	}
	http := port(portRange{netns.HTTPPort, netns.HTTPPort})
	c.add("names without the port, in words", to(netns.Named), proto(unix.IPPROTO_TCP), http, accept())
	c.add("refused names, in words", to(netns.Refused), proto(unix.IPPROTO_TCP), http, accept())
	addresses(&c, r)
	c.add("log the rest", logDenied())
	c.refuse("refuse tcp", reset(), proto(unix.IPPROTO_TCP))
	c.refuse("refuse the rest", forbid())
	return c
}

// gatePorts refuses to connect to the relays themselves, which would then not
// know where to.
func gatePorts(c *chain) {
	tcp, udp := portRange{netns.TCPPort, netns.TCPPort}, portRange{netns.UDPPort, netns.UDPPort}
	c.add("log gate tcp", toLocal(), proto(unix.IPPROTO_TCP), port(tcp), logDenied())
	c.refuse("gate tcp", reset(), toLocal(), proto(unix.IPPROTO_TCP), port(tcp))
	c.add("log gate udp", toLocal(), proto(unix.IPPROTO_UDP), port(udp), logDenied())
	c.refuse("gate udp", forbid(), toLocal(), proto(unix.IPPROTO_UDP), port(udp))
}

// addresses lets through what CIDR rules allow. A wide block such as 0.0.0.0/0
// does not open the special blocks inside; a rule for one of those does.
func addresses(c *chain, r *rules.Rules) {
	var wide []rules.CIDR
	for _, a := range r.CIDRs() {
		if inSpecial(a.Block) {
			allow(c, a)
		} else {
			wide = append(wide, a)
		}
	}
	if len(wide) == 0 && !r.Audit() {
		return
	}
	if r.Audit() {
		c.count("audit named hosts", []match{to(netns.Named), proto(unix.IPPROTO_TCP)}, accept())
	}
	for _, p := range rules.Special() {
		c.add("log special addresses", to(p), logDenied())
		c.refuse("refuse tcp to special addresses", reset(), to(p), proto(unix.IPPROTO_TCP))
		c.refuse("refuse special addresses", forbid(), to(p))
	}
	for _, a := range wide {
		allow(c, a)
	}
	if r.Audit() {
		c.count("audit tcp", []match{proto(unix.IPPROTO_TCP)}, accept())
		c.count("audit udp", []match{proto(unix.IPPROTO_UDP)}, accept())
	}
}

func inSpecial(p netip.Prefix) bool {
	for _, s := range rules.Special() {
		if p.Bits() >= s.Bits() && s.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func allow(c *chain, a rules.CIDR) {
	note := fmt.Sprintf("egress %.60s %s", a.Rule, a.Block)
	if a.Protocol == "icmp" {
		c.count(note, []match{to(a.Block), echoRequest(a.Block.Addr().Is4()), upTo(PingBytes), atMost(PingsPerSecond)}, join(copyPing(), accept())).egress = a.Rule
		return
	}
	for _, p := range ranges(a.Ports) {
		c.count(note, []match{to(a.Block), proto(protoNumber(a.Protocol)), port(p)}, accept()).egress = a.Rule
	}
}

// nat sends what the filter let through to the gate.
func nat() chain {
	accepting := nftables.ChainPolicyAccept
	c := chain{Chain: nftables.Chain{
		Name: "redirect", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityNATDest, Policy: &accepting,
	}}
	for _, name := range []string{"udp", "tcp"} {
		c.add("dns over "+name, proto(protoNumber(name)), port(portRange{netns.DNSPort, netns.DNSPort}), redirect(netns.DNSPort))
	}
	c.add("the sandbox itself", toLocal(), accept())
	c.add("tcp", proto(unix.IPPROTO_TCP), redirect(netns.TCPPort))
	c.add("udp", proto(unix.IPPROTO_UDP), redirect(netns.UDPPort))
	return c
}

// comment is a rule's note as nft(8) shows it.
func comment(note string) []byte { return userdata.AppendString(nil, userdata.TypeComment, note) }
