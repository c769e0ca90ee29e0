package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sinkPort is where a sink listens.
const sinkPort = 9999

// farHome is on the network of the host's that looks like one at home.
const farHome = "2a00:1450:1::1/64"

// sinkTable is the routing table that makes every address the lab's own.
const sinkTable = 100

// ServeSink makes the lab the whole internet: every address that is nobody else's is
// its own, and every port that no other server has is the sink's, which sends back
// what it is told and writes it down. Questions on port 53 of any address reach the
// name server at names. It comes after all other servers.
func (l *Lab) ServeSink(names ...string) error {
	if err := l.ownAll(); err != nil {
		return fmt.Errorf("own all addresses: %w", err)
	}
	for _, at := range sinks() {
		if err := l.ServeEcho(at.String(), ""); err != nil {
			return err
		}
		if err := l.ServeUDPEcho(at.String()); err != nil {
			return err
		}
	}
	return l.inside(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(l.redirects(names))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("redirect to the sink: %w: %s", err, out)
		}
		return nil
	})
}

// sinks are the sink's sockets.
func sinks() []netip.AddrPort {
	var all []netip.AddrPort
	for _, side := range farSide {
		all = append(all, netip.AddrPortFrom(netip.MustParsePrefix(side).Addr(), sinkPort))
	}
	return all
}

func (l *Lab) ownAll() error {
	h, err := l.Handle()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := SetUp(h, "internet", farHome); err != nil {
		return err
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	for family, all := range map[int]string{unix.AF_INET: "0.0.0.0/0", unix.AF_INET6: "::/0"} {
		_, dst, err := net.ParseCIDR(all)
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: sinkTable, Scope: unix.RT_SCOPE_HOST}
		if err := h.RouteReplace(r); err != nil {
			return err
		}
		rule := netlink.NewRule()
		rule.Family, rule.Table, rule.Priority = family, sinkTable, 33000 // after the neighbours
		if err := h.RuleAdd(rule); err != nil {
			return err
		}
	}
	return nil
}

// redirects is a ruleset for nft(8).
func (l *Lab) redirects(names []string) string {
	var b strings.Builder
	b.WriteString("table inet sink {\n chain pre {\n  type nat hook prerouting priority dstnat;\n")
	for _, at := range l.served {
		fmt.Fprintf(&b, "  %s daddr %s %s dport %d return\n", family(at.Addr()), at.Addr(), at.proto, at.Port())
	}
	for _, name := range names {
		if at, err := netip.ParseAddrPort(name); err == nil {
			fmt.Fprintf(&b, "  meta l4proto { tcp, udp } th dport 53 dnat %s to %s\n", family(at.Addr()), name)
		}
	}
	for _, at := range sinks() {
		fmt.Fprintf(&b, "  meta l4proto { tcp, udp } dnat %s to %s\n", family(at.Addr()), at)
	}
	return b.String() + " }\n}\n"
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// ServeLenient starts a server that takes for HTTP what some server somewhere does, and
// writes down each request's line and host as it understood them. With te a chunked body
// counts before a length, else after it. It is for what a second server makes of
// the same bytes.
func (l *Lab) ServeLenient(at string, te bool) error {
	ln, err := l.listen(at)
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			l.keep(c)
			l.wg.Go(func() {
				defer func() { _ = c.Close() }()
				lenient{te: te, journal: &l.Journal}.serve(c)
			})
		}
	})
	return nil
}
