// Package relay carries what a sandbox may send to where it may go. The packet
// filter hands it connections with their destination; it finds out which name
// was meant, asks the rules, checks that the client speaks to that name, and
// connects from the host's network.
//
//	destination ─▶ name (synthetic) ─▶ rules ─▶ TLS: SNI is the name
//	            │                               HTTP: Host of every request is the name
//	            │                               else: nothing names a host, so nothing can contradict
//	            │                                 ─▶ look up, check the class of the address, dial that address
//	            └▶ address (CIDR rule) ─▶ rules ─▶ dial it; the bytes are not looked at
//
// What is refused is reset, so the client sees it at once.
//
// What it can't see: inside TLS, a server that hosts several names may be asked
// for another one (domain fronting, or an encrypted ClientHello behind a public
// name that a rule allows). A rule for a name trusts whoever serves that name.
package relay
