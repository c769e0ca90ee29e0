package probes

// The internet that the probes meet: testfixtures/attack makes it. The addresses are
// public ones, so that no check has to be relaxed for the test.
const (
	Resolver  = "9.9.9.9"       // the host's name server; also with TLS, on 853, and HTTPS
	Resolver6 = "2620:fe::fe"   //
	CDN       = "93.184.215.14" // web hosts share it: good.example, which a rule allows, and other.example
	CDN6      = "2606:2800:220:1::1"
	Database  = "198.41.0.4"      // a rule allows port 5432 of it
	Datagram  = "198.41.0.5"      // a rule allows UDP to port 4500 of it
	Pingable  = "198.41.0.7"      // a rule allows echo requests to it
	Attacker  = "45.33.32.156"    // answers everything
	Attacker6 = "2600:3c01::f03c" //
	Metadata  = "169.254.169.254" //

	HostPublic = "23.92.16.1"  // the host's own, on another interface; its neighbours are 23.92.16.0/24
	HostBridge = "172.17.0.1"  // as docker0 has it
	HostUplink = "192.0.2.2"   // towards the internet
	HostPort   = 8081          // services of the host listen there, on all of its addresses
	HostUnix   = "attack-host" // abstract

	Neighbour       = 18099 // the port that another environment publishes on 127.0.0.1
	NeighbourInside = 8765  // the same inside of it
	NeighbourUnix   = "attack-neighbour"

	Wide = 8082 // a rule opens this port of 0.0.0.0/0 and ::/0
)

// HostSays begins what every service of the host answers, NeighbourSays that of the other environment.
const (
	HostSays      = "HOST-SERVICE"
	NeighbourSays = "NEIGHBOUR"
)

// Allowed are the names that rules spell out, below which the probes are made.
var Allowed = []string{"good.example", "echo.example", "opaque.example", "flip.rebind.example"}

// Rebinding are names that a rule allows and that lead where they must not.
var Rebinding = map[string][]string{
	"loopback":    {"127.0.0.1"},
	"loopback-2":  {"127.8.8.8"},
	"loopback-6":  {"::1"},
	"unspec":      {"0.0.0.0"},
	"unspec-6":    {"::"},
	"private-10":  {"10.1.2.3"},
	"private-172": {"172.20.1.2"},
	"private-192": {"192.168.1.1"},
	"cgnat":       {"100.100.100.200"}, // Alibaba's metadata
	"metadata":    {Metadata},
	"metadata-6":  {"fd00:ec2::254"},
	"ula":         {"fd12:3456::1"},
	"uplink":      {HostUplink},
	"bridge":      {HostBridge},
	"own-public":  {HostPublic},
	"neighbour":   {"23.92.16.7"},
	"mapped":      {"::ffff:127.0.0.1"},
	"compatible":  {"::127.0.0.1"},
	"nat64":       {"64:ff9b::7f00:1"},
	"nat64-local": {"64:ff9b:1::7f00:1"},
	"6to4":        {"2002:7f00:1::1"},
	"teredo":      {"2001:0:7f00:1::1"},
	"synthetic":   {"198.18.0.5"},
	"mixed":       {CDN, "127.0.0.1"}, // the first is fine
	"test-net":    {"203.0.113.5"},
	"site-local":  {"fec0::1"},
	"discard":     {"100::1"},
	"reserved-0":  {"0.1.2.3"},
}

// Encodings writes a token in the ways in which a probe may have sent it.
func Encodings(token string) []string {
	return encodings(token)
}
