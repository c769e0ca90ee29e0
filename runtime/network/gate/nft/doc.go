// Package nft turns a policy into the packet filter of a sandbox's network
// namespace, writes it in one transaction, and compares it with what the kernel
// holds. A packet meets it in this order:
//
//	process ─▶ "out" (filter, -150) sees where the process wanted to go
//	           │ an answer, the sandbox itself, DNS, or a rule's address and port: accept
//	           │ HTTP to a name that no rule allows: accept, and the relay says why not
//	           │ anything else: log, then reset (TCP) or EPERM (all other)
//	           ▼
//	           "redirect" (nat, -100) sends port 53 to the gate's DNS server,
//	           and what is not the sandbox's own to its relays
//
// The filter only ever sees packets of the sandbox and of the gate's sockets in
// the namespace. There is no interface, so what it lets through still ends at
// the gate, which decides by name. See nftables(8).
package nft
