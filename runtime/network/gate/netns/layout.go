package netns

import "net/netip"

// The layout of a sandbox's network namespace. The gate's ports are below 1024:
// a sandbox has no rights over the namespace, so it can't take them first, not
// even while no daemon runs.
const (
	DNSPort = 53  // every packet to port 53 of any address ends here
	TCPPort = 781 // allowed TCP connections to anywhere but the sandbox itself
	UDPPort = 782 // allowed UDP packets likewise

	// HTTPPort is where a refusal can be said in words: TCP to it at a Refused address, or
	// a Named one whose rule lacks the port, gets to the relay, too, which answers and
	// leads nowhere.
	HTTPPort = 80
)

var (
	// Loopback4 is where the gate listens.
	Loopback4 = netip.MustParseAddr("127.0.0.1")
	// Loopback6 is the same for IPv6.
	Loopback6 = netip.MustParseAddr("::1")

	// Own is the source address of all that goes out, for the kernel takes no
	// loopback address for that.
	Own = netip.MustParsePrefix("10.0.2.100/32")

	// Synthetic is the benchmarking network of RFC 2544, which no host uses.
	// Its lower half names hosts that a rule allows; its upper half, Refused,
	// those that none does: a route forbids it, so that connect(2) fails at
	// once with EACCES, which no network error looks like; but see HTTPPort.
	Synthetic = netip.MustParsePrefix("198.18.0.0/15")
	// Named is its lower half.
	Named = netip.MustParsePrefix("198.18.0.0/16")
	// Refused is its upper half.
	Refused = netip.MustParsePrefix("198.19.0.0/16")
)
