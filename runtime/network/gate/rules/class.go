package rules

import "net/netip"

// A class is a block of addresses that a name must not lead to unless a CIDR
// rule means it: they are not the internet but the host, its neighbours, or
// another way of writing them.
type class struct {
	what  string
	block netip.Prefix
	never bool // not even by a CIDR rule
}

// classes are from the IANA special-purpose registries (RFC 6890) and, for
// IPv6 that carries IPv4, RFC 4291, 6052, 8215, 3056, 4380.
var classes = []class{
	{"this network", netip.MustParsePrefix("0.0.0.0/8"), true}, // 0.0.0.0 connects to the host itself
	{"loopback", netip.MustParsePrefix("127.0.0.0/8"), false},
	{"link-local, cloud metadata", netip.MustParsePrefix("169.254.0.0/16"), false},
	{"private", netip.MustParsePrefix("10.0.0.0/8"), false},
	{"private", netip.MustParsePrefix("172.16.0.0/12"), false},
	{"private", netip.MustParsePrefix("192.168.0.0/16"), false},
	{"carrier-grade NAT", netip.MustParsePrefix("100.64.0.0/10"), false},
	{"protocol assignments", netip.MustParsePrefix("192.0.0.0/24"), false},
	{"documentation", netip.MustParsePrefix("192.0.2.0/24"), false},
	{"documentation", netip.MustParsePrefix("198.51.100.0/24"), false},
	{"documentation", netip.MustParsePrefix("203.0.113.0/24"), false},
	{"Blast's own synthetic", netip.MustParsePrefix("198.18.0.0/15"), true},
	{"6to4 relay", netip.MustParsePrefix("192.88.99.0/24"), false},
	{"multicast", netip.MustParsePrefix("224.0.0.0/4"), true},
	{"reserved", netip.MustParsePrefix("240.0.0.0/4"), true}, // and broadcast

	{"unspecified", netip.MustParsePrefix("::/128"), true},
	{"loopback", netip.MustParsePrefix("::1/128"), false},
	{"IPv4-mapped", netip.MustParsePrefix("::ffff:0:0/96"), true},
	{"IPv4-compatible", netip.MustParsePrefix("::/96"), true},
	{"IPv4-translated", netip.MustParsePrefix("::ffff:0:0:0/96"), true},
	{"NAT64", netip.MustParsePrefix("64:ff9b::/96"), true},
	{"NAT64", netip.MustParsePrefix("64:ff9b:1::/48"), true},
	{"discard", netip.MustParsePrefix("100::/64"), true},
	{"Teredo", netip.MustParsePrefix("2001::/32"), true},
	{"benchmarking", netip.MustParsePrefix("2001:2::/48"), false},
	{"documentation", netip.MustParsePrefix("2001:db8::/32"), false},
	{"documentation", netip.MustParsePrefix("3fff::/20"), false},
	{"6to4", netip.MustParsePrefix("2002::/16"), true},
	{"segment routing", netip.MustParsePrefix("5f00::/16"), false},
	{"unique local", netip.MustParsePrefix("fc00::/7"), false}, // and fd00:ec2::254, cloud metadata
	{"link-local", netip.MustParsePrefix("fe80::/10"), false},
	{"site-local", netip.MustParsePrefix("fec0::/10"), false},
	{"multicast", netip.MustParsePrefix("ff00::/8"), true},
}

// classOf finds the class of an address; the internet has none.
func classOf(a netip.Addr) (class, bool) {
	for _, c := range classes {
		if c.block.Contains(a) {
			return c, true
		}
	}
	return class{}, false
}

// means reports whether a CIDR rule was written with this class in mind: it
// lies inside. 0.0.0.0/0 means the internet, not the host's neighbours.
func (c class) means(cidr netip.Prefix) bool {
	return !c.never && cidr.Bits() >= c.block.Bits() && c.block.Contains(cidr.Addr())
}

// Special lists the blocks that a CIDR rule covers only if it lies inside.
func Special() []netip.Prefix {
	var ps []netip.Prefix
	for _, c := range classes {
		ps = append(ps, c.block)
	}
	return ps
}
