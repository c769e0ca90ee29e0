package network

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
)

// reading makes a policy of a decoded network block.
type reading struct {
	now   func() time.Time
	env   string // name of the environment
	src   block.Origins
	diags hcl.Diagnostics
}

func (r *reading) errorf(at hcl.Range, summary, format string, args ...any) {
	r.diags = append(r.diags, block.Errorf(at, summary, format, args...))
}

func (r *reading) egress(v *block.Values) Egress {
	v.Sources(r.src, "egress."+v.Label)
	e := Egress{
		Name: v.Label, Protocol: v.String("protocol", "tcp"), Reason: v.String("reason", ""), Owner: v.String("owner", ""),
		During: r.during(v), Expires: r.expires(v),
		Limits: r.limits(v, "egress."+v.Label), Quota: r.quota(v),
	}
	r.oneTarget(v)
	e.Domains = r.each(v.Strings("domains"), domain)
	e.CIDRs = r.each(v.Strings("cidrs"), cidr)
	e.Environments = r.others(v)
	e.Ports = r.portsOf(v, e.Protocol)
	r.unlimited(v, e)
	e.Opaque = v.Wrote("domains") && v.Has("protocol")
	if i := slices.IndexFunc(e.CIDRs, loopback); i >= 0 && slices.Contains(e.During, "run") {
		r.diags = append(r.diags, block.Warningf(v.At("cidrs"), "Rule for the sandbox's own loopback",
			"egress %q names %s. To a command that is the sandbox itself, where it may connect without a rule; the loopback of the host is not reached by it. Write during = [\"apply\"], if it is for an index on this machine, or remove it.", v.Label, e.CIDRs[i]))
	}
	if e.Protocol != "tcp" && !v.Wrote("cidrs") {
		r.errorf(v.At("protocol"), strings.ToUpper(e.Protocol)+" by name", "egress %q has protocol %q and no cidrs. Which name a packet is for can't be seen: use cidrs.", v.Label, e.Protocol)
	}
	return e
}

// targets are the attributes of which a rule has exactly one.
var targets = []string{"domains", "cidrs", "environments"}

func (r *reading) oneTarget(v *block.Values) {
	var wrote []string
	for _, name := range targets {
		if v.Wrote(name) {
			wrote = append(wrote, name)
			r.notEmpty(v, name, len(v.Strings(name)))
		}
	}
	switch len(wrote) {
	case 0:
		r.errorf(v.Range, "Rule without a target", "egress %q names neither domains nor cidrs, and a rule never means everything. Write: domains = [\"example.com\"].", v.Label)
	case 1:
	default:
		r.errorf(v.At(wrote[1]), "Two kinds of target", "egress %q has %s and %s, which are decided in different ways. Make two rules of it.", v.Label, wrote[0], wrote[1])
	}
}

// others reads the names of other environments, sorted.
func (r *reading) others(v *block.Values) []string {
	names := r.each(v.Strings("environments"), func(name string) (string, error) {
		switch {
		case name == r.env:
			return "", errors.New("is this environment itself, where every command may connect without a rule")
		case !isLabel(name):
			return "", errors.New("can't be a host name; name an environment whose name has letters, digits and - in it")
		}
		return name, nil
	})
	slices.Sort(names)
	return names
}

// isLabel reports whether the name of an environment is one label of a host name, in
// lower case (RFC 1123, section 2.1): then NAME.blast.internal names it.
func isLabel(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && name != "" && len(name) <= 63 &&
		name[0] != '-' && name[len(name)-1] != '-'
}

// portsOf reads the ports of a rule. ICMP has none.
func (r *reading) portsOf(v *block.Values, protocol string) []uint16 {
	switch {
	case protocol == "icmp" && v.Wrote("ports"):
		r.errorf(v.At("ports"), "Ports of ICMP", "egress %q has protocol \"icmp\", which knows no ports. Remove the line.", v.Label)
		return nil
	case protocol != "icmp" && !v.Wrote("ports"):
		r.errorf(v.Range, "Missing argument", "egress %q needs \"ports\", a list of whole numbers. Write: ports = [443].", v.Label)
		return nil
	}
	return r.ports(v)
}

func loopback(cidr string) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Addr().IsLoopback()
}

// notEmpty refuses an empty list: it must never come to mean "no restriction".
func (r *reading) notEmpty(v *block.Values, name string, n int) {
	if v.Has(name) && n == 0 {
		r.errorf(v.At(name), "Empty list", "%s of %s %q is empty, so the rule allows nothing. Remove the rule, or write what it allows.", name, v.Name, v.Label)
	}
}

// each normalises texts and drops repetitions; the order is that of the file.
func (r *reading) each(ts []block.Text, normal func(string) (string, error)) []string {
	var out []string
	for _, t := range ts {
		n, err := normal(t.Text)
		if err != nil {
			r.errorf(t.Range, "Invalid target", "%q %v.", t.Text, err)
			continue
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func (r *reading) ports(v *block.Values) []uint16 {
	r.notEmpty(v, "ports", len(v.Ints("ports")))
	var out []uint16
	for _, p := range v.Ints("ports") {
		out = append(out, uint16(p.N)) // the declaration has bounds
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *reading) during(v *block.Values) []string {
	if !v.Wrote("during") {
		return []string{"apply", "run"}
	}
	r.notEmpty(v, "during", len(v.Strings("during")))
	var out []string
	for _, t := range v.Strings("during") {
		out = append(out, t.Text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// warnBefore is how long before its end a rule is warned about.
const warnBefore = 14 * 24 * time.Hour

func (r *reading) expires(v *block.Values) string {
	text := v.String("expires", "")
	if text == "" {
		if v.Has("expires") {
			r.errorf(v.At("expires"), "Invalid date", "expires is empty. Remove it, or write a date such as \"2027-01-31\".")
		}
		return ""
	}
	now := r.now()
	day, err := time.ParseInLocation(time.DateOnly, text, now.Location())
	if err != nil {
		r.errorf(v.At("expires"), "Invalid date", "expires is %q, which is no day. Write year, month and day: \"2027-01-31\".", text)
		return ""
	}
	end := day.AddDate(0, 0, 1)
	switch {
	case !now.Before(end):
		r.diags = append(r.diags, block.Warningf(v.At("expires"), "Rule has expired", "egress %q ended on %s and is closed. Remove it, or give it a new date.", v.Label, text))
	case end.Sub(now) <= warnBefore:
		r.diags = append(r.diags, block.Warningf(v.At("expires"), "Rule expires soon", "egress %q is closed after %s. Give it a new date if it is still needed.", v.Label, text))
	}
	return text
}

func (r *reading) dns(v *block.Values) []string {
	if v == nil {
		return nil
	}
	v.Sources(r.src, "dns")
	r.notEmpty(v, "servers", len(v.Strings("servers")))
	return r.each(v.Strings("servers"), server)
}
