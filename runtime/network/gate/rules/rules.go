// Package rules decides: may this name be resolved, may this connection be
// made, may a name lead to this address. It is pure.
package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/hostname"
)

// Rules is a policy made ready for deciding. It is immutable.
type Rules struct {
	audit  bool
	egress []egress
	opaque []egress // those of egress that are
}

type egress struct {
	network.Egress
	cidrs   []netip.Prefix
	expires time.Time // zero is never
	run     bool      // holds while commands run
}

// A Verdict is the answer to one question.
type Verdict struct {
	OK     bool
	Audit  bool   // OK only because the default is "audit"
	Opaque bool   // nothing that is said on the connection is checked
	Rule   string // the rule that decided, or that came nearest
	Reason string // why not; "" is: no rule names it
	Told   string // the reason as the sandbox may know it, if that is less
	Final  bool   // no other rule for the same target would change it
}

// A CIDR is an address block, protocol and port that a rule allows to commands.
type CIDR struct {
	Rule     string
	Block    netip.Prefix
	Protocol string
	Ports    []uint16
}

// Compile checks a policy and makes it ready. An unreadable rule is an error
// of the whole, never a rule left out.
func Compile(p network.Policy) (*Rules, error) {
	r := &Rules{}
	switch p.Default {
	case "audit":
		r.audit = true
	case "deny":
	default:
		return nil, fmt.Errorf("network default is %q, not \"deny\" or \"audit\"", p.Default)
	}
	for _, e := range p.Egress {
		c, err := compile(e)
		if err != nil {
			return nil, fmt.Errorf("egress %q: %w", e.Name, err)
		}
		r.egress = append(r.egress, c)
		if c.opaque() {
			r.opaque = append(r.opaque, c)
		}
	}
	return r, nil
}

func compile(e network.Egress) (egress, error) {
	c := egress{Egress: e, run: slices.Contains(e.During, "run")}
	if err := whole(e); err != nil {
		return c, err
	}
	for _, d := range e.Domains {
		if n, ok := hostname.Normalize(strings.TrimPrefix(d, "*.")); !ok || n != strings.TrimPrefix(d, "*.") {
			return c, fmt.Errorf("%q is not a lower-case host name", d)
		}
	}
	for _, s := range e.CIDRs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return c, err
		}
		if p.Addr().Is4In6() {
			return c, fmt.Errorf("%s is IPv4 written as IPv6", s)
		}
		c.cidrs = append(c.cidrs, p.Masked())
	}
	if e.Expires != "" {
		day, err := time.ParseInLocation(time.DateOnly, e.Expires, time.Local)
		if err != nil {
			return c, err
		}
		c.expires = day.AddDate(0, 0, 1)
	}
	return c, nil
}

// whole refuses a rule whose parts don't go together.
func whole(e network.Egress) error {
	kinds := 0
	for _, targets := range [][]string{e.Domains, e.CIDRs, e.Environments} {
		if len(targets) > 0 {
			kinds++
		}
	}
	switch {
	case !slices.Contains([]string{"tcp", "udp", icmp}, e.Protocol):
		return fmt.Errorf("protocol is %q, not \"tcp\", \"udp\" or \"icmp\"", e.Protocol)
	case kinds != 1:
		return errors.New("exactly one of domains, cidrs and environments is needed")
	case len(e.CIDRs) == 0 && e.Protocol != "tcp":
		return errors.New("domains and environments need protocol \"tcp\"")
	case (len(e.Ports) == 0) != (e.Protocol == icmp):
		return errors.New("ports are needed, and icmp has none")
	}
	return nil
}

// icmp is the protocol of echo requests, of IPv4 and IPv6.
const icmp = "icmp"

// Audit reports whether what no rule names is allowed and logged.
func (r *Rules) Audit() bool { return r.audit }

// Name answers whether a normalized name may be resolved, for whatever port.
func (r *Rules) Name(name string, now time.Time) Verdict {
	return both(name, r.decide(now, func(e egress) (bool, string) { return e.names(name), "" }))
}

// Exact reports whether a rule names the name itself, not by a wildcard.
func (r *Rules) Exact(name string) bool {
	return slices.ContainsFunc(r.egress, func(e egress) bool {
		_, env := Environment(name)
		return slices.Contains(e.Domains, name) || env && e.names(name)
	})
}

// Wildcard returns the first "*.example.com" of a rule that covers the normalized name.
func (r *Rules) Wildcard(name string) (string, bool) {
	for _, e := range r.egress {
		for _, d := range e.Domains {
			if d != name && covers(d, name) {
				return d, true
			}
		}
	}
	return "", false
}

// NamePort answers whether a connection to a port of a normalized name may be made.
func (r *Rules) NamePort(name string, port uint16, now time.Time) Verdict {
	ask := func(e egress) (bool, string) { return e.names(name), e.lacks(port, "this host") }
	if v := (&Rules{egress: r.opaque}).decide(now, ask); v.OK {
		v.Opaque = true
		return v
	}
	return both(name, r.decide(now, ask))
}

// both takes back what is allowed only as "audit" allows all: for a way to another
// environment both must say so.
func both(name string, v Verdict) Verdict {
	if _, env := Environment(name); env && v.Audit {
		return Verdict{Rule: v.Rule, Reason: "no rule names this environment, and audit doesn't open others"}
	}
	return v
}

// Addr answers whether a connection that names no host may be made. own lists
// the host's own addresses, each with the network that it is in.
func (r *Rules) Addr(protocol string, a netip.AddrPort, own []netip.Prefix, now time.Time) Verdict {
	c, special := classFor(a.Addr(), own)
	v := r.decide(now, func(e egress) (bool, string) {
		if e.Protocol != protocol || !e.contains(a.Addr(), c, special) {
			return false, ""
		}
		if protocol == icmp {
			return true, ""
		}
		return true, e.lacks(a.Port(), "this address")
	})
	if v.OK && v.Audit && special {
		return Verdict{Reason: refusal(a.Addr(), c)}
	}
	return v
}

// LeadsTo answers whether a name, once allowed, may lead to this address. What
// is not the internet must be meant by a CIDR rule for the same port, or a name
// server that an attacker controls could open the host's own network.
func (r *Rules) LeadsTo(a netip.AddrPort, own []netip.Prefix, now time.Time) Verdict {
	c, special := classFor(a.Addr(), own)
	if !special {
		return Verdict{OK: true}
	}
	strict := &Rules{egress: r.egress}
	v := strict.Addr("tcp", a, own, now)
	if !v.OK {
		v.Reason = refusal(a.Addr(), c)
	}
	return v
}

// CIDRs lists what commands may reach by address.
func (r *Rules) CIDRs() []CIDR {
	var cs []CIDR
	for _, e := range r.egress {
		for _, p := range e.cidrs {
			if e.run {
				cs = append(cs, CIDR{e.Name, p, e.Protocol, sorted(e.Ports)})
			}
		}
	}
	return cs
}

// Pings reports whether commands may ping anything.
func (r *Rules) Pings() bool {
	return slices.ContainsFunc(r.egress, func(e egress) bool { return e.run && e.Protocol == icmp })
}

// NamedPorts lists the ports that commands may reach of one host or another.
func (r *Rules) NamedPorts() []uint16 {
	var ps []uint16
	for _, e := range r.egress {
		if e.run && len(e.CIDRs) == 0 {
			ps = append(ps, e.Ports...)
		}
	}
	return sorted(ps)
}

// decide asks each rule whether it names what is wanted, and if so what it
// lacks. The first rule that lacks nothing allows it.
func (r *Rules) decide(now time.Time, ask func(egress) (named bool, lacks string)) Verdict {
	var near Verdict
	for _, e := range r.egress {
		named, lacks := ask(e)
		if !named {
			continue
		}
		if lacks == "" {
			lacks = e.closed(now)
		}
		if lacks == "" {
			return Verdict{OK: true, Rule: e.Name}
		}
		if near.Rule == "" {
			near = Verdict{Rule: e.Name, Reason: lacks}
		}
	}
	if r.audit {
		near.OK, near.Audit = true, true
	}
	return near
}

// names reports whether the rule names a host. Other environments are named by their
// own list only: not even a wildcard for all of .internal is about them.
func (e egress) names(name string) bool {
	if env, ok := Environment(name); ok {
		return slices.Contains(e.Environments, env)
	}
	return slices.ContainsFunc(e.Domains, func(d string) bool { return covers(d, name) })
}

// opaque rules are for hosts to which anything may be said. Another environment is
// one: nothing but itself is behind its name.
func (e egress) opaque() bool { return e.Opaque || len(e.Environments) > 0 }

func (e egress) contains(a netip.Addr, c class, special bool) bool {
	return slices.ContainsFunc(e.cidrs, func(p netip.Prefix) bool {
		return p.Contains(a) && (!special || c.means(p))
	})
}

func (e egress) lacks(port uint16, what string) string {
	if slices.Contains(e.Ports, port) {
		return ""
	}
	return fmt.Sprintf("egress %q names %s but not port %d", e.Name, what, port)
}

func (e egress) closed(now time.Time) string {
	switch {
	case !e.run:
		return fmt.Sprintf("egress %q holds only while packages are installed", e.Name)
	case !e.expires.IsZero() && !now.Before(e.expires):
		return fmt.Sprintf("egress %q expired after %s", e.Name, e.Expires)
	}
	return ""
}

// classFor is classOf with the host's own addresses, each a class of itself, and
// its neighbours: in IPv6 these have public addresses at home, too.
func classFor(a netip.Addr, own []netip.Prefix) (class, bool) {
	if c, ok := classOf(a); ok {
		return c, true
	}
	if slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr() == a }) {
		return class{what: "this host's own", block: netip.PrefixFrom(a, a.BitLen())}, true
	}
	if i := slices.IndexFunc(own, func(p netip.Prefix) bool { return p.Contains(a) }); i >= 0 {
		return class{what: "neighbouring", block: own[i].Masked()}, true
	}
	return class{}, false
}

func refusal(a netip.Addr, c class) string {
	return fmt.Sprintf("%s is a %s address, which only a cidrs rule inside %s opens", a, c.what, c.block)
}

func sorted(ps []uint16) []uint16 {
	ps = slices.Clone(ps)
	slices.Sort(ps)
	return slices.Compact(ps)
}
