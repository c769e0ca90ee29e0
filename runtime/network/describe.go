package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// Describe implements kinds.Words. A rule widens access if it allows anything
// that the whole policy did not allow before: renaming a rule changes nothing.
func (Words) Describe(c plan.Change) plan.Description {
	if c.Addr == NamespaceAddr {
		return describeNamespace(c)
	}
	var from, to Policy
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	d := plan.Description{Summary: to.summary()}
	if !hasTo {
		d.Summary = from.summary()
	}
	d.Items = append(d.Items, wording.Drift(from.Drift)...)
	d.Items = append(d.Items, defaultItem(from, to, hasFrom, hasTo)...)
	d.Items = append(d.Items, egressItems(from, to)...)
	d.Items = append(d.Items, ingressItems(from.Ingress, to.Ingress)...)
	d.Items = append(d.Items, wording.Changed("dns", strings.Join(from.DNS, ", "), strings.Join(to.DNS, ", "), plan.Same)...)
	if hasFrom && hasTo {
		d.Items = append(d.Items, limitItems("", from.Limits, to.Limits)...)
	}
	d.Notes = to.notes()
	return d
}

const (
	audit = "audit"
	icmp  = "icmp"
)

func describeNamespace(c plan.Change) plan.Description {
	var from, to Namespace
	if _, _, err := c.Sides(&from, &to); err != nil {
		return wording.Unreadable(c, err)
	}
	return plan.Description{Items: wording.Drift(from.Missing)}
}

// defaultItem tells of another default. Of a policy that is new, or goes, only
// one that lets everything out is worth a line.
func defaultItem(from, to Policy, hasFrom, hasTo bool) []plan.Item {
	if hasFrom && hasTo || from.Default == audit || to.Default == audit {
		return wording.Changed("default", from.Default, to.Default, defaultAccess(from, to))
	}
	return nil
}

func defaultAccess(from, to Policy) plan.Access {
	switch {
	case to.Default == audit && from.Default != audit:
		return plan.Widen
	case from.Default == audit && to.Default != audit:
		return plan.Narrow
	}
	return plan.Same
}

func egressItems(from, to Policy) []plan.Item {
	var items []plan.Item
	was := map[string]Egress{}
	for _, e := range from.Egress {
		was[e.Name] = e
	}
	for _, e := range to.Egress {
		old, there := was[e.Name]
		delete(was, e.Name)
		items = append(items, egressItem(old, e, there, true, from, to)...)
	}
	for _, e := range from.Egress {
		if _, gone := was[e.Name]; gone {
			items = append(items, egressItem(e, Egress{Name: e.Name}, true, false, from, to)...)
		}
	}
	return items
}

func egressItem(old, e Egress, before, after bool, from, to Policy) []plan.Item {
	name := "egress." + e.Name
	it := plan.Item{Name: name, Action: wording.Action(before, after)}
	if before {
		it.Before = old.text()
	}
	if after {
		it.After = e.text()
	}
	if after && !from.covers(e) {
		it.Access = it.Access.Add(plan.Widen)
	}
	if before && !to.covers(old) {
		it.Access = it.Access.Add(plan.Narrow)
	}
	if before != after { // its limits come or go with it
		it.Before, it.After = it.Before+old.limited(), it.After+e.limited()
		return []plan.Item{it}
	}
	items := slices.Concat(limitItems(name+".", old.Limits, e.Limits), quotaItems(name+".", old.Quota, e.Quota))
	if it.Before != it.After || it.Access != plan.Same {
		return append([]plan.Item{it}, items...)
	}
	return slices.Concat(items, wording.Changed(name+".reason", old.Reason, e.Reason, plan.Same), wording.Changed(name+".owner", old.Owner, e.Owner, plan.Same))
}

func (e Egress) limited() string { return e.aside(e.Quota) }

// covers reports whether the policy allows all that e allows. It compares rule by
// rule, so that it may say no where several rules together would.
func (p Policy) covers(e Egress) bool {
	if p.Default == audit {
		return true
	}
	ports := e.Ports
	if e.Protocol == icmp {
		ports = []uint16{0} // it has none, and means one thing
	}
	for _, target := range e.targets() {
		for _, port := range ports {
			for _, during := range e.During {
				if !slices.ContainsFunc(p.Egress, func(q Egress) bool {
					return q.allows(e, target, port, during) && q.carries(e)
				}) {
					return false
				}
			}
		}
	}
	return true
}

// allows reports whether q allows one target and port of e at one time.
func (q Egress) allows(e Egress, target string, port uint16, during string) bool {
	return q.Protocol == e.Protocol && (q.Opaque || !e.Opaque) &&
		(e.Protocol == icmp || slices.Contains(q.Ports, port)) && slices.Contains(q.During, during) &&
		(q.Expires == "" || e.Expires != "" && e.Expires <= q.Expires) &&
		(slices.ContainsFunc(q.Domains, func(d string) bool { return domainCovers(d, target) }) ||
			slices.ContainsFunc(q.CIDRs, func(c string) bool { return cidrCovers(c, target) }) ||
			slices.ContainsFunc(q.Environments, func(env string) bool { return hostOf(env) == target }))
}

// hostOf is the name by which a sandbox finds another environment.
func hostOf(env string) string { return env + "." + Zone }

// targets are all that the rule names.
func (e Egress) targets() []string {
	all := slices.Concat(e.Domains, e.CIDRs)
	for _, env := range e.Environments {
		all = append(all, hostOf(env))
	}
	return all
}

// carries reports whether q's limits leave room for e. What changes of the limits
// of a rule that stays is told apart from what it names.
func (q Egress) carries(e Egress) bool {
	return q.Name == e.Name || q.cover(e.Limits) && q.Quota.cover(e.Quota)
}

// domainCovers also compares wildcards: "*.example.com" covers "*.a.example.com".
func domainCovers(rule, target string) bool {
	apex, wild := strings.CutPrefix(rule, "*.")
	return rule == target || wild && strings.HasSuffix(strings.TrimPrefix(target, "*."), "."+apex)
}

func cidrCovers(rule, target string) bool {
	r, err := netip.ParsePrefix(rule)
	if err != nil {
		return false
	}
	t, err := netip.ParsePrefix(target)
	return err == nil && r.Bits() <= t.Bits() && r.Contains(t.Addr())
}

// maxTargets is how many targets a line of a plan shows.
const maxTargets = 3

// text is "pypi.org, files.pythonhosted.org:443 while installing".
func (e Egress) text() string {
	s := e.where()
	if e.Expires != "" {
		s += " until " + e.Expires
	}
	return s + e.when()
}

func (e Egress) where() string {
	ports := make([]string, len(e.Ports))
	for i, p := range e.Ports {
		ports[i] = strconv.Itoa(int(p))
	}
	s := wording.List(e.targets(), maxTargets)
	if len(ports) > 0 {
		s += ":" + strings.Join(ports, ",")
	}
	switch {
	case e.Protocol == icmp:
		s += " by ping"
	case e.Protocol != "tcp":
		s += "/" + e.Protocol
	case e.Opaque:
		s += "/tcp unchecked"
	}
	return s
}

func (e Egress) when() string {
	if len(e.During) != 1 {
		return ""
	}
	return map[string]string{"apply": " while installing", "run": " while running"}[e.During[0]]
}

// maxRules is how many rules a summary names.
const maxRules = 3

// summary is "rejects all; pypi.org, files.pythonhosted.org:443 while installing".
func (p Policy) summary() string {
	var always, sometimes []string
	for i, e := range p.Egress {
		switch {
		case i >= maxRules:
		case e.when() == "":
			always = append(always, e.text()+e.limited())
		default:
			sometimes = append(sometimes, e.text()+e.limited())
		}
	}
	s := "rejects all"
	if p.Default == audit {
		s = "allows and logs all"
	}
	if len(always) > 0 {
		s += " but " + strings.Join(always, ", ")
	}
	if len(sometimes) > 0 {
		s += "; " + strings.Join(sometimes, ", ")
	}
	if more := len(p.Egress) - maxRules; more > 0 {
		s += fmt.Sprintf("; %d more rules", more)
	}
	for _, name := range blocks(p.Ingress) {
		ins := named(p.Ingress, name)
		s += "; " + offer(ins) + ins[0].aside(Quota{})
	}
	if all := p.text(Quota{}); all != "" {
		s += "; all together " + all
	}
	return s
}

// notes are warnings about what is wider than it looks.
func (p Policy) notes() []string {
	var out []string
	if p.Default == audit {
		out = append(out, `default = "audit" lets everything out and only logs it`)
	}
	for _, e := range p.Egress {
		if e.Opaque {
			out = append(out, fmt.Sprintf(`egress.%s has protocol = "tcp": what is said to %s is not checked, and may be for another host that is served there`, e.Name, wording.List(e.Domains, maxTargets)))
		}
		for _, c := range e.CIDRs {
			if pr, err := netip.ParsePrefix(c); err == nil && pr.Bits() == 0 {
				out = append(out, fmt.Sprintf("egress.%s reaches every public address", e.Name))
			}
		}
	}
	for _, in := range p.Ingress {
		if ap, err := netip.ParseAddrPort(in.Publish); err == nil && !ap.Addr().IsLoopback() {
			out = append(out, fmt.Sprintf("ingress.%s is published on %s: other machines can reach it", in.Name, in.at()))
		}
	}
	return out
}
