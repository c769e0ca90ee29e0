// Package network is the network block: what a sandbox may talk to and what
// may talk to it. Nothing, unless a line says so.
package network

// Addresses of the objects of this kind.
const (
	NamespaceAddr = "network.namespace"
	PolicyAddr    = "network.policy"
)

// Namespace is the attributes of network.namespace: a network namespace with
// only lo, owned by the daemon's user namespace, pinned below the environment's
// run folder. It has no choices yet.
type Namespace struct {
	// Missing says what Observe found wrong; it is never set in what is wanted.
	Missing []string `json:"missing,omitempty"`
}

// Policy is the attributes of network.policy: the nftables ruleset inside the
// namespace and the rules of the DNS server and the relay, applied as one.
type Policy struct {
	Default string    `json:"default"` // "deny", or "audit": allow and log
	Egress  []Egress  `json:"egress,omitempty"`
	Ingress []Ingress `json:"ingress,omitempty"`
	DNS     []string  `json:"dns,omitempty"` // upstream servers, addr:port; "system" is the host's resolv.conf
	Limits            // of the whole environment; what they leave out is not limited, but for DefaultOpen

	// Drift says how the kernel differs from what was applied; it is never set
	// in what is wanted.
	Drift []string `json:"drift,omitempty"`
}

// Egress is one egress block. Exactly one of Domains, CIDRs and Environments is set.
type Egress struct {
	Name         string   `json:"name"`
	Domains      []string `json:"domains,omitempty"` // lower-case A-labels, exact or "*.example.com" (any depth below)
	CIDRs        []string `json:"cidrs,omitempty"`
	Environments []string `json:"environments,omitempty"` // of the same project
	Ports        []uint16 `json:"ports,omitempty"`        // none with icmp
	Protocol     string   `json:"protocol"`               // tcp | udp | icmp (the last two only with CIDRs)
	Opaque       bool     `json:"opaque,omitempty"`       // with Domains: nothing that is said is checked
	During       []string `json:"during"`                 // "apply", "run", sorted
	Reason       string   `json:"reason,omitempty"`       // why a person allowed it
	Owner        string   `json:"owner,omitempty"`        // who answers for it
	Expires      string   `json:"expires,omitempty"`      // 2006-01-02: closed after this day
	Limits
	Quota Quota `json:"quota,omitzero"`
}

// Ingress is one port of an ingress block; a block of several is several of these.
type Ingress struct {
	Name         string   `json:"name"`
	Port         uint16   `json:"port"`                   // in the sandbox, on its loopback
	Publish      string   `json:"publish,omitempty"`      // on the host, addr:port; "" is not there
	Protocol     string   `json:"protocol,omitempty"`     // "udp"; "" is TCP
	Environments []string `json:"environments,omitempty"` // those that may connect, sorted
	Limits
}

// Zone is the domain under which a sandbox finds other environments of its project:
// "backend" is backend.blast.internal. ICANN keeps .internal for private use.
const Zone = "blast.internal"
