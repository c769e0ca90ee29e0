package attack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/attack/probes"
	"blast.example/blast/testfixtures/netlab"
)

// evidence is what the far end saw in one phase.
type evidence struct {
	packets []netlab.Packet
	said    []byte // to servers, without TLS
	seen    map[string]bool
	misled  []string // lines of requests that a server took to be for a host that no rule names
}

var requestLine = regexp.MustCompile(`(?m)^request for (.*)$`)

// gather takes what came since an offset of the journal, and looks for tokens in it.
func (w *world) gather(from int, tokens []string) *evidence {
	w.t.Helper()
	packets, lost, err := w.tap.Take()
	w.try(err)
	if lost != 0 {
		w.t.Fatalf("the tap lost %d packets: its judgement is worth nothing", lost)
	}
	e := &evidence{packets: packets, said: w.lab.Journal.Bytes(from), seen: map[string]bool{}}
	f := newFinder(tokens)
	f.find(e.said, e.seen)
	for _, p := range packets {
		f.find(p.Data, e.seen)
	}
	for _, m := range requestLine.FindAllSubmatch(e.said, -1) {
		host, _, _ := strings.Cut(string(m[1]), ": ")
		if !slices.Contains([]string{"good.example", "good.example:80", "good.example:443", "good.example:8080", "good.example:8081", "good.example:8443", "neighbour.example"}, strings.ToLower(host)) && !strings.HasSuffix(host, ".rebind.example") {
			e.misled = append(e.misled, string(m[1]))
		}
	}
	return e
}

// tookFor is the line of a request with the token that a server took to be for another host.
func (e *evidence) tookFor(token string) string {
	i := slices.IndexFunc(e.misled, func(l string) bool { return strings.Contains(l, token) })
	if i < 0 {
		return ""
	}
	return e.misled[i]
}

// A finder looks for all ways of writing all tokens at once, whatever the case of their letters.
type finder struct{ looks map[[look]byte][]written }

const look = 8 // bytes that are compared first

type written struct{ token, text string }

func newFinder(tokens []string) finder {
	f := finder{map[[look]byte][]written{}}
	for _, t := range tokens {
		for _, text := range probes.Encodings(t) {
			text = strings.ToLower(text)
			key := [look]byte([]byte(text[:look]))
			f.looks[key] = append(f.looks[key], written{t, text})
		}
	}
	return f
}

func (f finder) find(b []byte, seen map[string]bool) {
	text := strings.ToLower(string(lowered(b)))
	for i := 0; i+look <= len(text); i++ {
		for _, w := range f.looks[[look]byte([]byte(text[i:i+look]))] {
			if strings.HasPrefix(text[i:], w.text) {
				seen[w.token] = true
			}
		}
	}
}

// lowered is b with small letters; strings.ToLower would change bytes that are no text.
func lowered(b []byte) []byte {
	out := slices.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// A crossing is a packet that left the host, or went round on its loopback.
type crossing struct {
	src, dst netip.Addr
	proto    byte
	sport    uint16
	dport    uint16
	payload  []byte
}

func (c crossing) String() string {
	return fmt.Sprintf("protocol %d to %s port %d: %.120q", c.proto, c.dst, c.dport, c.payload)
}

func parse(p netlab.Packet) (crossing, bool) {
	b := p.Data
	var c crossing
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		c.src, c.dst, c.proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9]
		b = b[min(len(b), int(b[0]&15)*4):]
	case len(b) >= 40 && b[0]>>4 == 6:
		c.src, c.dst, c.proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[6]
		b = b[40:]
	default:
		return c, false
	}
	c.payload = b
	switch {
	case c.proto == unix.IPPROTO_TCP && len(b) >= 20:
		c.sport, c.dport, c.payload = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[min(len(b), int(b[12]>>4)*4):]
	case c.proto == unix.IPPROTO_UDP && len(b) >= 8:
		c.sport, c.dport, c.payload = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[8:]
	}
	return c, true
}

// trespasses are packets that no rule allows.
func (e *evidence) trespasses() []string {
	var out []string
	for _, p := range e.packets {
		if p.Kind == unix.ETH_P_ARP || !p.Outgoing {
			continue
		}
		c, ok := parse(p)
		if !ok {
			out = append(out, fmt.Sprintf("a frame of kind %#x: %.60q", p.Kind, p.Data))
			continue
		}
		if why := c.trespass(); why != "" {
			out = append(out, why+": "+c.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// trespass says what is wrong with a packet that left; "" is nothing.
func (c crossing) trespass() string {
	to := netip.AddrPortFrom(c.dst, c.dport)
	switch {
	case c.kernels():
		return ""
	case to.String() == probes.Resolver+":53" && c.proto == unix.IPPROTO_UDP:
		return oddQuestion(c.payload)
	case c.proto == unix.IPPROTO_UDP && to.String() == probes.Datagram+":4500":
		return ""
	case c.proto == unix.IPPROTO_ICMP && c.dst.String() == probes.Pingable:
		return oddPing(c.payload)
	case c.proto == unix.IPPROTO_TCP && slices.Contains(openPorts[c.dst.String()], c.dport):
		return ""
	case c.proto == unix.IPPROTO_TCP && c.dport == probes.Wide && (c.dst.String() == probes.Attacker || c.dst.String() == probes.Attacker6):
		return ""
	}
	return "no rule allows it"
}

// openPorts are what the rules lead to.
var openPorts = map[string][]uint16{
	probes.Resolver: {53},
	probes.CDN:      {7, 80, 443, 8080, 8081, 8443, 8444},
	probes.Database: {5432},
}

// kernels are packets that the host's kernel sends by itself: its tap's mark, neighbours
// looked for, groups joined.
func (c crossing) kernels() bool {
	switch c.proto {
	case unix.IPPROTO_UDP:
		return c.dst.IsLoopback() && c.dport == 9 && strings.HasPrefix(string(c.payload), "tap mark")
	case unix.IPPROTO_ICMP:
		return c.dst.IsLoopback() && c.src.IsLoopback() && len(c.payload) > 0 && c.payload[0] == 3
	case unix.IPPROTO_ICMPV6:
		return len(c.payload) > 0 && c.payload[0] >= 133 && c.payload[0] <= 136
	case 0: // hop-by-hop options, of a report of groups
		return c.dst.String() == "ff02::16"
	}
	return false
}

// oddPing says what is wrong with a message to where echo requests may go.
func oddPing(b []byte) string {
	if len(b) < 8 || b[0] != 8 || b[1] != 0 {
		return "no echo request"
	}
	return ""
}

// oddQuestion says what a question has that Blast wouldn't ask for itself.
func oddQuestion(b []byte) string {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return "no DNS"
	}
	again, err := m.Pack()
	if err != nil || len(again) > len(b)+32 || len(b) > len(again)+32 {
		return "more than a question"
	}
	if len(m.Question) != 1 || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > 1 || m.Opcode != dns.OpcodeQuery {
		return "more than a question"
	}
	if o := m.IsEdns0(); len(m.Extra) == 1 && (o == nil || len(o.Option) > 0) {
		return "an EDNS option"
	}
	q := m.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype != dns.TypeA && q.Qtype != dns.TypeAAAA {
		return "a question of another type"
	}
	name := strings.TrimSuffix(q.Name, ".")
	if name == strings.ToLower(name) && (slices.Contains(probes.Allowed, name) || slices.Contains(rebinding(), name) || name == "neighbour.example" || strings.HasSuffix(name, ".many.example")) {
		return ""
	}
	return "a question for a name that no rule allows"
}
