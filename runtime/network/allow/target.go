// Package allow writes the egress rule of blast.hcl that lets one more thing out: the
// other half of a refusal's "allow it by". It decides which change of the text is the
// smallest; that the text then means that and nothing else is looked at with what was
// read of it before and after.
package allow

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"blast.example/blast/runtime/network"
)

// A Target is what is to be let out.
type Target struct {
	Domain   string // or
	CIDR     string
	Port     uint16 // 0 with icmp
	Protocol string // tcp | udp | icmp
}

const (
	defaultPort = 443    // is meant where none is given
	icmp        = "icmp" // has no ports
)

// Parse reads HOST[:PORT][/PROTOCOL]: "api.github.com", "10.1.2.3:5432",
// "[2001:db8::1]:53/udp", "10.0.0.0/8:22", "192.0.2.1/icmp".
func Parse(text string) (Target, error) {
	t := Target{Port: defaultPort, Protocol: "tcp"}
	rest := text
	for _, p := range []string{"tcp", "udp", icmp} {
		if cut, ok := strings.CutSuffix(rest, "/"+p); ok {
			rest, t.Protocol = cut, p
			break
		}
	}
	host, port, err := split(rest)
	if err != nil {
		return t, fmt.Errorf("%q %w", text, err)
	}
	if t.Protocol == icmp {
		t.Port = 0
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || t.Protocol == icmp {
			return t, fmt.Errorf("%q: a port is a number from 1 to 65535, and icmp has none", text)
		}
		t.Port = uint16(n)
	}
	if t.Domain, t.CIDR, err = network.ReadTarget(host); err != nil {
		return t, fmt.Errorf("%q %w", host, err)
	}
	if t.Domain != "" && t.Protocol != "tcp" {
		return t, fmt.Errorf("%q: which name a packet is for can't be seen, so %s is for addresses only", text, t.Protocol)
	}
	return t, nil
}

// split takes the port off. An IPv6 address without brackets has none.
func split(s string) (host, port string, err error) {
	if strings.Contains(s, "://") {
		return "", "", fmt.Errorf("is a URL; write its host and port, such as api.example.com:443")
	}
	bare, _, _ := strings.Cut(s, "/")
	if a, err := netip.ParseAddr(bare); err == nil && a.Is6() {
		return s, "", nil
	}
	if strings.HasPrefix(s, "[") {
		inside, after, ok := strings.Cut(s[1:], "]")
		port, colon := strings.CutPrefix(after, ":")
		if !ok || after != "" && !colon {
			return "", "", fmt.Errorf("is no address in brackets with a port, such as [2001:db8::1]:443")
		}
		return inside, port, nil
	}
	host, port, colon := strings.Cut(s, ":")
	if colon && port == "" {
		return "", "", fmt.Errorf("ends before its port")
	}
	return host, port, nil
}

// host is the name, the address or the block.
func (t Target) host() string {
	if p, err := netip.ParsePrefix(t.CIDR); err == nil && p.IsSingleIP() {
		return p.Addr().String()
	}
	return t.Domain + t.CIDR
}

// String is what Parse reads.
func (t Target) String() string {
	if t.Protocol == icmp {
		return t.host() + "/" + icmp
	}
	s := net.JoinHostPort(t.host(), strconv.Itoa(int(t.Port)))
	if t.Protocol != "tcp" {
		s += "/" + t.Protocol
	}
	return s
}
