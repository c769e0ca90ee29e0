package allow

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"blast.example/blast/config/edit"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/hostname"
)

// A Wish is a target and what a person says with it. What is empty is not said.
type Wish struct {
	Target
	Name    string   // of the rule
	Reason  string   // why
	Expires string   // the last day, 2027-01-31
	During  []string // apply, run
}

// plain reports whether an existing rule may serve: it has no place for more words.
func (w Wish) plain() bool { return w.Name == "" && w.Reason == "" && w.Expires == "" }

// phases are when the target must be allowed at least.
func (w Wish) phases() []string {
	if len(w.During) > 0 {
		return w.During
	}
	return []string{"run"}
}

// Allowed reports whether a policy allows the target already, by which rule.
func (w Wish) Allowed(p network.Policy, now time.Time) (rule string, ok bool) {
	for _, phase := range w.phases() {
		rule, ok = allowed(p, w.Target, phase, now)
		if !ok {
			return "", false
		}
	}
	return rule, true
}

// allowed asks the rules that the gate goes by. A cidr is allowed if one rule names all
// of it.
func allowed(p network.Policy, t Target, phase string, now time.Time) (string, bool) {
	only := network.Policy{Default: "deny"}
	for _, e := range p.Egress {
		if slices.Contains(e.During, phase) {
			e.During = []string{"run"}
			only.Egress = append(only.Egress, e)
		}
	}
	if t.CIDR != "" {
		for _, e := range only.Egress {
			if e.Protocol == t.Protocol && slices.Contains(e.CIDRs, t.CIDR) && (t.Protocol == icmp || slices.Contains(e.Ports, t.Port)) && current(e, now) {
				return e.Name, true
			}
		}
		return "", false
	}
	rs, err := rules.Compile(only)
	if err != nil {
		return "", false
	}
	v := rs.NamePort(t.Domain, t.Port, now)
	return v.Rule, v.OK
}

func current(e network.Egress, now time.Time) bool {
	day, err := time.ParseInLocation(time.DateOnly, e.Expires, now.Location())
	return e.Expires == "" || err == nil && now.Before(day.AddDate(0, 0, 1))
}

// Write changes the text of an environment, whose policy is p, so that it allows the
// target, and returns the rule that does. body is the environment's.
func (w Wish) Write(body edit.Body, p network.Policy, now time.Time) network.Egress {
	block, there := body.Block("network")
	for _, e := range p.Egress {
		if !there || !w.fits(e, now) {
			continue
		}
		if b, ok := block.Block("egress", e.Name); ok && b.Lengthen("ports", strconv.Itoa(int(w.Port))) {
			e.Ports = append(slices.Clone(e.Ports), w.Port)
			slices.Sort(e.Ports)
			return e
		}
	}
	e := w.rule(p)
	if there {
		block.Append(lines(e))
		return e
	}
	body.Append(append([]string{"network {"}, append(indented(lines(e)), "}")...))
	return e
}

// fits reports whether one more port makes a rule allow the target and nothing else.
func (w Wish) fits(e network.Egress, now time.Time) bool {
	targets := slices.Concat(e.Domains, e.CIDRs)
	during := e.During
	for _, phase := range w.phases() {
		if !slices.Contains(during, phase) {
			return false
		}
	}
	return w.plain() && w.Protocol != icmp && !e.Opaque && len(e.Environments) == 0 && len(targets) == 1 && targets[0] == w.Domain+w.CIDR && e.Protocol == w.Protocol && current(e, now) &&
		(len(w.During) == 0 || len(w.During) == len(during))
}

// rule is a new one.
func (w Wish) rule(p network.Policy) network.Egress {
	e := network.Egress{Name: w.Name, Protocol: w.Protocol, During: w.During, Reason: w.Reason, Expires: w.Expires}
	if w.Protocol != icmp {
		e.Ports = []uint16{w.Port}
	}
	if e.Name == "" {
		e.Name = free(hostname.Label(w.host()), p)
	}
	if w.Domain != "" {
		e.Domains = []string{w.Domain}
	} else {
		e.CIDRs = []string{w.CIDR}
	}
	return e
}

// free is a name that no rule has.
func free(name string, p network.Policy) string {
	for n, try := 2, name; ; n++ {
		if !slices.ContainsFunc(p.Egress, func(e network.Egress) bool { return e.Name == try }) {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// Block is a rule as a person would write it by hand into the network block.
func (w Wish) Block(p network.Policy) []string { return lines(w.rule(p)) }

func indented(lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		out = append(out, "  "+l)
	}
	return out
}
