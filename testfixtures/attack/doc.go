// Package attack attacks the network of real sandboxes, from inside, with everything that
// is in package probes and package flood, and looks at what came of it from the far end:
// a whole internet of the test's own, in namespaces.
//
//	sandbox "victim"  ┐
//	sandbox "rooted"  ├─ blastd, in the namespace "host" ══ veth ══ namespace "internet"
//	sandbox "neighbour" ┘  services on loopback, on three interfaces,   one address for all web hosts, name server (also TLS,
//	                       abstract sockets; a tap on all interfaces   HTTPS), metadata, and a sink: every other address and port
//
// Each probe is tried twice: on the host, where it must get through (its positive control), and in the sandboxes,
// where it must not. Each has a token of its own each time. It is judged three times: by what it
// says itself, by whether its token is in what crossed any interface or reached
// any server, and by whether anything crossed at all that no rule allows: another
// address, another port, another name, a question with more in it than a name.
//
// BLAST_ATTACK_ONLY='^tls-' limits a run to the probes and floods whose names it matches.
//
// To add a probe, see package probes: it is one entry in a list. Then write the table of
// docs/ATTACKS.md anew: UPDATE=1 go test ./testfixtures/attack -run TestAttacksAreListed.
package attack
