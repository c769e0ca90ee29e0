package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"blast.example/blast/config/block"
)

// firstUnprivileged is the kernel's net.ipv4.ip_unprivileged_port_start, which a
// sandbox keeps: the gate has ports below it that nobody else may take.
const firstUnprivileged = 1024

// maxPorts is how many ports one ingress block may have: each is a socket of the daemon.
const maxPorts = 64

// A published is a socket on the host and the block that wants it.
type published struct {
	protocol string
	at       netip.AddrPort
	by       *block.Values
}

// ingresses are checked against each other: a port of the host can be published once.
func (r *reading) ingresses(vs []*block.Values) []Ingress {
	var out []Ingress
	var taken []published
	for _, v := range vs {
		v.Sources(r.src, "ingress."+v.Label)
		for _, in := range r.ingress(v) {
			if in.Publish != "" {
				taken = r.take(taken, published{in.Protocol, netip.MustParseAddrPort(in.Publish), v})
			}
			out = append(out, in)
		}
	}
	return out
}

// take notes that a socket is wanted, and says so if it can't be had.
func (r *reading) take(taken []published, p published) []published {
	for _, was := range taken {
		if was.protocol == p.protocol && overlap(was.at, p.at) {
			r.diags = append(r.diags, block.Duplicate(p.by.At("publish"), was.by.At("publish"), "Port "+p.at.String(), "A port of the host can be published once: choose another."))
			return taken
		}
	}
	return append(taken, p)
}

// overlap reports whether two sockets can't both be bound.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// ingress reads one block, which is as many as it has ports.
func (r *reading) ingress(v *block.Values) []Ingress {
	in := Ingress{Name: v.Label, Limits: r.limits(v, "ingress."+v.Label)}
	if v.String("protocol", "tcp") == "udp" {
		in.Protocol = "udp"
	}
	in.Environments = r.others(v)
	r.notEmpty(v, "environments", len(v.Strings("environments")))
	if in.Protocol == "udp" && v.Wrote("environments") {
		r.errorf(v.At("environments"), "UDP between environments", "ingress %q has protocol \"udp\" and environments, which connect over TCP only. Make two blocks of it.", v.Label)
	}
	var out []Ingress
	for _, port := range r.inside(v) {
		at, ok := r.publish(v, port)
		if !ok {
			return nil
		}
		if in.Port = port; at.IsValid() {
			in.Publish = at.String()
		}
		out = append(out, in)
	}
	return out
}

// inside reads the ports of the sandbox. None are mistakes that are reported.
func (r *reading) inside(v *block.Values) []uint16 {
	switch {
	case v.Wrote("port") && v.Wrote("ports"):
		r.errorf(v.At("ports"), "Two kinds of port", "ingress %q has port and ports. Write all of them as ports, or one as port.", v.Label)
		return nil
	case !v.Wrote("port") && !v.Wrote("ports"):
		r.errorf(v.Range, "Missing argument", "ingress %q needs \"port\", a whole number, or \"ports\", a list of these. Write: port = 8000.", v.Label)
		return nil
	}
	ports := r.ports(v)
	if n, ok := v.Int("port"); ok {
		ports = []uint16{uint16(n)} // the declaration has bounds
	}
	if len(ports) > maxPorts {
		r.errorf(v.At("ports"), "Too many ports", "ingress %q has %d ports; one block may have %d. Publish a range of ports by a proxy in the sandbox.", v.Label, len(ports), maxPorts)
		return nil
	}
	if len(ports) > 0 && ports[0] < firstUnprivileged { // they are sorted
		name, where := "port", ""
		if v.Wrote("ports") {
			name, where = "ports", "in a block of its own "
		}
		inside := 8000 + int(ports[0])
		r.errorf(v.At(name), "Privileged port", "%s has %d, and no command of a sandbox may listen below %d. Let it listen on %d, and write %sport = %d and publish = \"127.0.0.1:%d\" for the host's side.", name, ports[0], firstUnprivileged, inside, where, inside, ports[0])
		return nil
	}
	return ports
}

// publish reads where a port is on the host; the zero value is nowhere.
func (r *reading) publish(v *block.Values, port uint16) (netip.AddrPort, bool) {
	text := v.String("publish", "")
	switch {
	case !v.Wrote("publish") && v.Wrote("environments"):
		return netip.AddrPort{}, true
	case !v.Wrote("publish"):
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), true
	case !v.Has("publish"):
		return netip.AddrPort{}, false // reported
	case v.Wrote("ports"):
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			r.errorf(v.At("publish"), "Invalid address", "publish is %q, and must be an address of the host alone, as each of ports keeps its number. Write for example \"127.0.0.1\".", text)
			return netip.AddrPort{}, false
		}
		return netip.AddrPortFrom(a.Unmap(), port), true
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Port() == 0 || ap.Addr().Zone() != "" {
		host, _, _ := strings.Cut(text, ":")
		r.errorf(v.At("publish"), "Invalid address", "publish is %q, and must be an address and a port of the host. Write for example \"127.0.0.1:%s\".", text, cmp.Or(strings.Trim(text[len(host):], ":"), "8000"))
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
}

// Proto is the protocol of the port, "tcp" or "udp".
func (in Ingress) Proto() string { return cmp.Or(in.Protocol, "tcp") }

// Socket names what is bound on the host, "udp 127.0.0.1:8000"; "" is nothing.
func (in Ingress) Socket() string {
	if in.Publish == "" {
		return ""
	}
	return in.Proto() + " " + in.Publish
}

// Overlaps reports whether the sockets of both on the host can't be had at once.
func (in Ingress) Overlaps(o Ingress) bool {
	a, err := netip.ParseAddrPort(in.Publish)
	b, bad := netip.ParseAddrPort(o.Publish)
	return err == nil && bad == nil && in.Proto() == o.Proto() && overlap(a, b)
}

// Takes reports whether another environment may connect.
func (in Ingress) Takes(env string) bool { return slices.Contains(in.Environments, env) }
