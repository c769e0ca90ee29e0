package gate

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/ping"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
)

// relayPings carries echo requests until the returned function is called.
func (g *gate) relayPings(ns *os.File) (stop func(), err error) {
	r, err := ping.Start(ns, func(_, dst netip.Addr) bool {
		return g.pings(dst).OK
	})
	if err != nil {
		return nil, err
	}
	return r.Close, nil
}

func (g *gate) pings(dst netip.Addr) rules.Verdict {
	own, err := upstream.OwnAddrs()
	if err != nil {
		return rules.Verdict{}
	}
	return g.rules.Load().Addr("icmp", netip.AddrPortFrom(dst, 0), own, time.Now())
}

// unpinged says why the packet filter refused something of ICMP.
func (g *gate) unpinged(dst netip.AddrPort) (rule, reason string) {
	v := g.pings(dst.Addr())
	if v.OK && !v.Audit {
		return v.Rule, fmt.Sprintf("only echo requests of up to %d bytes are let through, %d a second", nft.PingBytes, nft.PingsPerSecond)
	}
	return v.Rule, v.Reason
}
