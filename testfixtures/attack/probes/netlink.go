package probes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	netlinkCategory = "netlink"
	filterCategory  = "Changing the packet filter"
)

// netlinkSocket makes a socket of a netlink family and says hello on it.
func netlinkSocket(family int) func(Aim) error {
	return func(Aim) error {
		return onSocket(unix.AF_NETLINK, unix.SOCK_RAW, family, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		})
	}
}

func netlinkProbes() []Probe {
	var ps []Probe
	add := func(name, what string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "netlink-" + name, Category: netlinkCategory, What: what, Try: try, Tokenless: true})
	}
	add("netfilter", "a socket to the packet filter", netlinkSocket(unix.NETLINK_NETFILTER))
	add("xfrm", "a socket to IPsec", netlinkSocket(unix.NETLINK_XFRM))
	add("audit", "a socket to the audit log", netlinkSocket(unix.NETLINK_AUDIT))
	add("generic", "a socket to everything else", netlinkSocket(unix.NETLINK_GENERIC))
	add("uevent", "a socket to devices", netlinkSocket(unix.NETLINK_KOBJECT_UEVENT))
	add("connector", "a socket to processes", netlinkSocket(unix.NETLINK_CONNECTOR))
	add("veth", "a pair of interfaces", func(Aim) error {
		l := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "attack-veth"}, PeerName: "attack-peer"}
		return errors.Join(netlink.LinkAdd(l), netlink.LinkDel(l))
	})
	add("address", "an address more", func(Aim) error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr("203.0.113.77/32")
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(lo, a), netlink.AddrDel(lo, a))
	})
	add("route", "a route for the addresses of refused names", func(Aim) error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		_, dst, err := net.ParseCIDR("198.19.0.0/16")
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst}
		return errors.Join(netlink.RouteAdd(r), netlink.RouteDel(r))
	})
	add("rule", "a routing rule", func(Aim) error {
		r := netlink.NewRule()
		r.Family, r.Table, r.Priority = unix.AF_INET, 77, 77
		return errors.Join(netlink.RuleAdd(r), netlink.RuleDel(r))
	})
	add("qdisc", "a queue that lets packets go elsewhere", func(Aim) error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		q := &netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       1 << 30, Limit: 1 << 24, Buffer: 1 << 20,
		}
		return errors.Join(netlink.QdiscAdd(q), netlink.QdiscDel(q))
	})
	add("conntrack", "forgetting the connections that are known", func(Aim) error {
		return netlink.ConntrackTableFlush(netlink.ConntrackTable)
	})
	return append(ps, filterProbes()...)
}

func filterProbes() []Probe {
	var ps []Probe
	add := func(name, what string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "filter-" + name, Category: filterCategory, What: what, Try: try, Tokenless: true})
	}
	add("flush", "nft flush ruleset", program("nft", "flush", "ruleset"))
	add("add-table", "a table of one's own that accepts", program("nft", "add", "table", "inet", "attack"))
	add("list", "reading the rules", program("nft", "list", "ruleset"))
	add("by-netlink", "the same without a program: a table through netlink", func(Aim) error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		t := c.AddTable(&nftables.Table{Name: "attack2", Family: nftables.TableFamilyINet})
		if err := c.Flush(); err != nil {
			return err
		}
		c.DelTable(t)
		return c.Flush()
	})
	add("delete", "deleting the gate's own table", func(a Aim) error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		t := &nftables.Table{Name: "blast", Family: nftables.TableFamilyINet}
		if !a.Inside {
			c.AddTable(t) // there is none on the host
		}
		c.DelTable(t)
		return c.Flush()
	})
	add("legacy", "iptables' own old call", func(Aim) error {
		return onSocket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW, func(int) error { return nil })
	})
	for _, name := range []string{"ping_group_range", "ip_forward", "ip_unprivileged_port_start", "tcp_fastopen"} {
		path := "/proc/sys/net/ipv4/" + name
		add("sysctl-"+strings.ReplaceAll(name, "_", "-"), "writing "+path, func(Aim) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, b, 0o600)
		})
	}
	// Outside process 1 may be closed to everybody, as in some virtual machines.
	add("enter-host", "entering the network namespace of the parent, which is process 1 inside", func(a Aim) error {
		return enter(fmt.Sprintf("/proc/%d/ns/net", os.Getppid()))(a)
	})
	add("enter-pin", "entering a namespace that lies in a file", enter("/run/attack-netns"))
	add("new-namespace", "a network namespace of one's own", func(Aim) error {
		return command("/usr/bin/unshare", "-n", "true")
	})
	add("new-user", "the same with a user namespace, whose root one is", func(Aim) error {
		return command("/usr/bin/unshare", "-rn", "ip", "link", "set", "lo", "up")
	})
	return ps
}

func enter(path string) func(Aim) error {
	return func(Aim) error {
		return command("/usr/bin/nsenter", "--net="+path, "true")
	}
}

// program runs a program that may lie where only root looks for it.
func program(name string, args ...string) func(Aim) error {
	return func(Aim) error { return command("/usr/sbin/"+name, args...) }
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
