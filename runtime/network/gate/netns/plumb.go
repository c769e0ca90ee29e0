package netns

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sysctls are the settings of the namespace that the gate relies on; see
// https://docs.kernel.org/networking/ip-sysctl.html and nf_conntrack-sysctl.
var sysctls = []setting{
	{"net/ipv4/ip_unprivileged_port_start", "1024"}, // the gate's ports are the gate's
	// Seconds, longer than the UDP relay remembers: a source port must never
	// mean one destination to the relay and another to the kernel.
	{"net/netfilter/nf_conntrack_udp_timeout", "300"},
	{"net/netfilter/nf_conntrack_udp_timeout_stream", "300"},
	// Seconds. All that goes to the relay goes to one port, so connection tracking has 64512
	// tuples for it. At 120 s, the kernel's own, 540 connections a second would use them up:
	// it looks for a free one ever longer, and before Linux 6.3 drops what finds none. No
	// packet comes late on lo.
	{"net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1"},
	// Likewise a client has 28232 ports for each address and port that it connects to, and
	// each would stay taken for a minute after its end: 470 connections a second. With
	// timestamps, which nobody inside can switch off, one may be used again after a second.
	{"net/ipv4/tcp_tw_reuse", "1"},
}

// sysctls6 are those that a kernel without IPv6 does not have.
var sysctls6 = []setting{{"net/ipv6/conf/lo/disable_ipv6", "0"}}

type setting struct{ path, value string }

// HasIPv6 reports whether the kernel knows IPv6 at all.
func HasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

func settings() []setting {
	if HasIPv6() {
		return slices.Concat(sysctls, sysctls6)
	}
	return sysctls
}

// routes are all routes there are outside of the kernel's own table. Without a
// default route connect(2) would fail before the packet filter sees who was meant.
func routes(lo int) []*netlink.Route {
	rs := []*netlink.Route{
		{LinkIndex: lo, Dst: ipNet("0.0.0.0/0"), Scope: unix.RT_SCOPE_LINK},
		{Type: unix.RTN_PROHIBIT, Dst: ipNet(Refused.String())},
		{LinkIndex: lo, Dst: ipNet(Refused.String()), Scope: unix.RT_SCOPE_LINK, Table: explained},
	}
	if HasIPv6() {
		rs = append(rs, &netlink.Route{LinkIndex: lo, Dst: ipNet("::/0"), Priority: 1024})
	}
	return rs
}

// Plumb brings the namespace into its layout from wherever it is. Interfaces
// that others put there are shut down.
func Plumb(ns *os.File) error {
	return Do(ns, func() error {
		h, err := handle(ns)
		if err != nil {
			return err
		}
		defer h.Close()
		if err := loadConntrack(h); err != nil {
			return err
		}
		if err := setSysctls(); err != nil {
			return err
		}
		if err := shutForeign(h); err != nil {
			return err
		}
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if err := h.LinkSetUp(lo); err != nil {
			return fmt.Errorf("set lo up: %w", err)
		}
		if err := plumbAddrs(h, lo); err != nil {
			return err
		}
		if err := plumbRules(h); err != nil {
			return err
		}
		return plumbRoutes(h, lo.Attrs().Index)
	})
}

// loadConntrack makes sure that connection tracking is there. Where it is a
// module, the kernel loads it for the first who asks for its table, and has its
// settings only then.
func loadConntrack(h *netlink.Handle) error {
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_udp_timeout"); err == nil {
		return nil
	}
	if _, err := h.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET); err != nil {
		return fmt.Errorf("load connection tracking (module nf_conntrack_netlink): %w", err)
	}
	return nil
}

func plumbAddrs(h *netlink.Handle, lo netlink.Link) error {
	for _, a := range addrs() {
		if err := h.AddrReplace(lo, a); err != nil {
			return fmt.Errorf("add address %s: %w", a.IPNet, err)
		}
	}
	there, err := h.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for i := range there {
		if !slices.ContainsFunc(addrs(), func(a *netlink.Addr) bool { return a.IPNet.String() == there[i].IPNet.String() }) {
			if err := h.AddrDel(lo, &there[i]); err != nil {
				return fmt.Errorf("remove address %s: %w", there[i].IPNet, err)
			}
		}
	}
	return nil
}

func plumbRoutes(h *netlink.Handle, lo int) error {
	there, err := listRoutes(h)
	if err != nil {
		return err
	}
	want := routes(lo)
	for i := range there {
		if !slices.ContainsFunc(want, func(r *netlink.Route) bool { return routeText(r) == routeText(&there[i]) }) {
			if err := h.RouteDel(&there[i]); err != nil {
				return fmt.Errorf("remove route %s: %w", routeText(&there[i]), err)
			}
		}
	}
	for _, r := range want {
		if err := h.RouteReplace(r); err != nil {
			return fmt.Errorf("add route %s: %w", routeText(r), err)
		}
	}
	return nil
}

// Inspect says how the namespace differs from its layout.
func Inspect(ns *os.File) (wrong []string, err error) {
	err = Do(ns, func() error {
		h, err := handle(ns)
		if err != nil {
			return err
		}
		defer h.Close()
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if lo.Attrs().Flags&net.FlagUp == 0 {
			wrong = append(wrong, "lo is down")
		}
		for _, check := range []func(*netlink.Handle, netlink.Link) ([]string, error){inspectLinks, inspectAddrs, inspectRoutes, inspectRules} {
			w, err := check(h, lo)
			if err != nil {
				return err
			}
			wrong = append(wrong, w...)
		}
		w, err := inspectSysctls()
		wrong = append(wrong, w...)
		return err
	})
	return wrong, err
}

func inspectLinks(h *netlink.Handle, _ netlink.Link) ([]string, error) {
	var wrong []string
	ls, err := foreign(h)
	for _, l := range ls {
		wrong = append(wrong, "unexpected interface "+l.Attrs().Name+" is up")
	}
	return wrong, err
}

func inspectAddrs(h *netlink.Handle, lo netlink.Link) ([]string, error) {
	there, err := h.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var want, have []string
	for _, a := range addrs() {
		want = append(want, a.IPNet.String())
	}
	for _, a := range there {
		have = append(have, a.IPNet.String())
	}
	return compare("address", want, have), nil
}

func inspectRoutes(h *netlink.Handle, lo netlink.Link) ([]string, error) {
	there, err := listRoutes(h)
	if err != nil {
		return nil, err
	}
	var want, have []string
	for _, r := range routes(lo.Attrs().Index) {
		want = append(want, routeText(r))
	}
	for i := range there {
		have = append(have, routeText(&there[i]))
	}
	return compare("route", want, have), nil
}

func inspectSysctls() ([]string, error) {
	var wrong []string
	for _, s := range settings() {
		have, err := sysctl(s.path)
		if err != nil {
			return nil, err
		}
		if have != s.value {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", s.path, have, s.value))
		}
	}
	return wrong, nil
}

func compare(what string, want, have []string) []string {
	var wrong []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			wrong = append(wrong, what+" "+w+" is missing")
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			wrong = append(wrong, "unexpected "+what+" "+h)
		}
	}
	return wrong
}

// foreign lists the interfaces that are up and not lo. Some kernels make
// tunnel devices in each namespace; while they are down they carry nothing.
func foreign(h *netlink.Handle) ([]netlink.Link, error) {
	ls, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return slices.DeleteFunc(ls, func(l netlink.Link) bool {
		return l.Attrs().Name == "lo" || l.Attrs().Flags&net.FlagUp == 0
	}), nil
}

func shutForeign(h *netlink.Handle) error {
	ls, err := foreign(h)
	for _, l := range ls {
		if err := h.LinkSetDown(l); err != nil {
			return fmt.Errorf("shut interface %s: %w", l.Attrs().Name, err)
		}
	}
	return err
}

// listRoutes lists all routes of all tables but those that the kernel makes of addresses.
func listRoutes(h *netlink.Handle) ([]netlink.Route, error) {
	var all []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rs, err := h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range rs {
			if !ofAddress(r) {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// ofAddresses are what the kernel makes routes of: the addresses of lo and, of IPv6, those
// that each interface has while it is up.
var ofAddresses = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), Own, netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// ofAddress recognises such a route, in the local table or, to ::1, in the main one.
func ofAddress(r netlink.Route) bool {
	if r.Dst == nil || r.Table != unix.RT_TABLE_LOCAL && r.Dst.String() != "::1/128" {
		return false
	}
	to, err := netip.ParsePrefix(r.Dst.String())
	return err == nil && slices.ContainsFunc(ofAddresses, func(p netip.Prefix) bool {
		return p.Bits() <= to.Bits() && p.Contains(to.Addr())
	})
}

func routeText(r *netlink.Route) string {
	dst := "default"
	if r.Dst != nil {
		dst = r.Dst.String()
	}
	if r.Type == unix.RTN_PROHIBIT {
		return "prohibit " + dst
	}
	s := fmt.Sprintf("%s dev %d", dst, r.LinkIndex)
	if r.Gw != nil {
		s += " via " + r.Gw.String()
	}
	if r.Table != 0 && r.Table != unix.RT_TABLE_MAIN {
		s += fmt.Sprintf(" table %d", r.Table)
	}
	return s
}

func addrs() []*netlink.Addr {
	as := []*netlink.Addr{
		{IPNet: ipNet("127.0.0.1/8"), Scope: unix.RT_SCOPE_HOST},
		{IPNet: ipNet(Own.String()), Scope: unix.RT_SCOPE_UNIVERSE},
	}
	if HasIPv6() {
		as = append(as, &netlink.Addr{IPNet: ipNet("::1/128"), Scope: unix.RT_SCOPE_HOST})
	}
	return as
}

func ipNet(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func handle(ns *os.File) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(vnetns.NsHandle(int(ns.Fd())), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return h, nil
}

func setSysctls() error {
	for _, s := range settings() {
		have, err := sysctl(s.path)
		if err != nil {
			return err
		}
		if have == s.value {
			continue
		}
		if err := os.WriteFile("/proc/sys/"+s.path, []byte(s.value), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
	}
	return nil
}

// sysctl reads a setting of the thread's namespace, which must be inside.
func sysctl(path string) (string, error) {
	b, err := os.ReadFile("/proc/sys/" + path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("this kernel has no sysctl %s", path)
	}
	if err != nil {
		return "", fmt.Errorf("read sysctl: %w", err)
	}
	return string(bytes.Join(bytes.Fields(b), []byte(" "))), nil
}
