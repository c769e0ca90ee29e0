package network

import (
	"cmp"
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
	src   block.Origins
	diags hcl.Diagnostics
}

func (r *reading) errorf(at hcl.Range, summary, format string, args ...any) {
	r.diags = append(r.diags, block.Errorf(at, summary, format, args...))
}

func (r *reading) egress(v *block.Values) Egress {
	v.Sources(r.src, "egress."+v.Label)
	e := Egress{
		Name: v.Label, Protocol: v.String("protocol", "tcp"), Reason: v.String("reason", ""),
		Ports: r.ports(v), During: r.during(v), Expires: r.expires(v),
	}
	switch {
	case !v.Wrote("domains") && !v.Wrote("cidrs"):
		r.errorf(v.Range, "Rule without a target", "egress %q names neither domains nor cidrs, and a rule never means everything. Write: domains = [\"example.com\"].", v.Label)
	case v.Wrote("domains") && v.Wrote("cidrs"):
		r.errorf(v.At("cidrs"), "Two kinds of target", "egress %q has domains and cidrs, which are decided in different ways. Make two rules of it.", v.Label)
	}
	r.notEmpty(v, "domains", len(v.Strings("domains")))
	r.notEmpty(v, "cidrs", len(v.Strings("cidrs")))
	e.Domains = r.each(v.Strings("domains"), domain)
	e.CIDRs = r.each(v.Strings("cidrs"), cidr)
	if i := slices.IndexFunc(e.CIDRs, loopback); i >= 0 && slices.Contains(e.During, "run") {
		r.diags = append(r.diags, block.Warningf(v.At("cidrs"), "Rule for the sandbox's own loopback",
			"egress %q names %s. To a command that is the sandbox itself, where it may connect without a rule; the loopback of the host is not reached by it. Write during = [\"apply\"], if it is for an index on this machine, or remove it.", v.Label, e.CIDRs[i]))
	}
	if e.Protocol == "udp" && v.Wrote("domains") {
		r.errorf(v.At("protocol"), "UDP by name", "egress %q has protocol \"udp\" and domains. Which name a datagram is for can't be seen: use cidrs.", v.Label)
	}
	return e
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

// firstUnprivileged is the kernel's net.ipv4.ip_unprivileged_port_start, which a
// sandbox keeps: the gate has ports below it that nobody else may take.
const firstUnprivileged = 1024

// ingresses are checked against each other: a port of the host can be published once.
func (r *reading) ingresses(vs []*block.Values) []Ingress {
	var out []Ingress
	first := map[netip.AddrPort]*block.Values{}
	for _, v := range vs {
		v.Sources(r.src, "ingress."+v.Label)
		port, ok := v.Int("port")
		if !ok {
			continue // reported
		}
		if port < firstUnprivileged {
			r.errorf(v.At("port"), "Privileged port", "port is %d, and no command of a sandbox may listen below %d. Let it listen on %d, and write publish = \"127.0.0.1:%d\" for the host's side.", port, firstUnprivileged, 8000+port, port)
			continue
		}
		publish, ok := r.publish(v, uint16(port))
		if !ok {
			continue
		}
		for was, other := range first {
			if overlap(was, publish) {
				r.diags = append(r.diags, block.Duplicate(v.At("publish"), other.At("publish"), "Port "+publish.String(), "A port of the host can be published once: choose another."))
				break
			}
		}
		first[publish] = v
		out = append(out, Ingress{Name: v.Label, Port: uint16(port), Publish: publish.String()})
	}
	return out
}

// overlap reports whether two sockets can't both be bound.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

func (r *reading) publish(v *block.Values, port uint16) (netip.AddrPort, bool) {
	text := v.String("publish", "")
	if !v.Wrote("publish") {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), true
	}
	if !v.Has("publish") {
		return netip.AddrPort{}, false // reported
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Port() == 0 || ap.Addr().Zone() != "" {
		host, _, _ := strings.Cut(text, ":")
		r.errorf(v.At("publish"), "Invalid address", "publish is %q, and must be an address and a port of the host. Write for example \"127.0.0.1:%s\".", text, cmp.Or(strings.Trim(text[len(host):], ":"), "8000"))
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
}
