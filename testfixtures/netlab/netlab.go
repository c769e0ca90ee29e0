// Package netlab is a small internet for tests: a network namespace behind a
// veth pair, with public addresses, a name server, web servers with and without
// TLS, and servers that echo. What is tested meets real addresses, so that no
// check has to be relaxed for the test.
//
//	the test process ── veth 192.0.2.2 ═══ 192.0.2.1 ── "the internet": 93.184.215.14, 9.9.9.9, ...
//
// ServeSink gives it every other address and port there is. What its servers are told is in
// the Journal, and a Tap has what crossed the interfaces of the host.
//
// Main gives the tests of a package a network and a mount namespace of their
// own, so that the machine's stay as they are.
package netlab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// The two ends of the veth pair, IPv4 first.
var (
	hostSide = []string{"192.0.2.2/30", "2001:db8:1::2/64", "2a00:1450:1::2/64"} // the last as a home has it
	farSide  = []string{"192.0.2.1/30", "2001:db8:1::1/64"}
)

// A Lab is one internet. Several may not be reached at once from one host.
type Lab struct {
	Authority *Authority // signs the certificates of its TLS servers
	Journal   Journal    // what its servers were told, without TLS

	ns  *os.File // nil: the servers are in the caller's own namespace
	dir string

	mu     sync.Mutex
	open   []io.Closer
	served []service
	wg     sync.WaitGroup
}

// New makes an internet that the caller's network namespace reaches by its
// default route.
func New() (_ *Lab, err error) {
	l, err := Local()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.dir, err = os.MkdirTemp("", "netlab-*"); err != nil {
		return nil, err
	}
	if err = netns.Create(l.pin()); err != nil {
		return nil, err
	}
	if l.ns, err = netns.Open(l.pin()); err != nil {
		return nil, err
	}
	if err = l.connect(); err != nil {
		return nil, fmt.Errorf("connect to the internet of the test: %w", err)
	}
	return l, nil
}

// Local makes a lab without a namespace: its servers listen on the loopback
// addresses that they are given.
func Local() (*Lab, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	return &Lab{Authority: ca}, nil
}

func (l *Lab) pin() string { return filepath.Join(l.dir, "net") }

// Close ends all servers. The veth pair goes with the namespace.
func (l *Lab) Close() {
	l.mu.Lock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
	if link, err := netlink.LinkByName(l.veth()); err == nil && l.ns != nil {
		_ = netlink.LinkDel(link)
	}
	if l.ns != nil {
		_ = l.ns.Close()
	}
	if l.dir != "" {
		_ = netns.Unpin(l.pin())
		_ = os.RemoveAll(l.dir)
	}
}

func (l *Lab) veth() string { return fmt.Sprintf("lab%d", os.Getpid()%100000) }

// connect makes the pair and the routes.
func (l *Lab) connect() error {
	near := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: l.veth()}, PeerName: "internet",
		PeerNamespace: netlink.NsFd(int(l.ns.Fd())),
	}
	if err := netlink.LinkAdd(near); err != nil {
		return fmt.Errorf("add veth: %w", err)
	}
	local, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer local.Close()
	if err := SetUp(local, l.veth(), hostSide...); err != nil {
		return err
	}
	link, err := local.LinkByName(l.veth())
	if err != nil {
		return err
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(all)
		if err != nil {
			return err
		}
		gw := netip.MustParsePrefix(farSide[i]).Addr().AsSlice()
		if err := local.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gw, Dst: dst}); err != nil {
			return fmt.Errorf("add default route: %w", err)
		}
	}
	far, err := netlink.NewHandleAt(vnetns.NsHandle(int(l.ns.Fd())))
	if err != nil {
		return err
	}
	defer far.Close()
	return errors.Join(SetUp(far, "internet", farSide...), SetUp(far, "lo"))
}

// SetUp gives addresses to an interface. Nobody else has them, so none is
// tried out first (NODAD).
func SetUp(h *netlink.Handle, name string, addrs ...string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, addr := range addrs {
		a, err := netlink.ParseAddr(addr)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrReplace(link, a); err != nil {
			return fmt.Errorf("add address %s: %w", addr, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// own gives the address to the lab, if it has a namespace.
func (l *Lab) own(at netip.AddrPort) error {
	if l.ns == nil || at.Addr().IsUnspecified() {
		return nil
	}
	h, err := netlink.NewHandleAt(vnetns.NsHandle(int(l.ns.Fd())), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return SetUp(h, "lo", netip.PrefixFrom(at.Addr(), at.Addr().BitLen()).String())
}

// inside runs f where the servers are.
func (l *Lab) inside(f func() error) error {
	if l.ns == nil {
		return f()
	}
	return netns.Do(l.ns, f)
}

// Start starts a program where the servers are. Who calls ends it.
func (l *Lab) Start(cmd *exec.Cmd) error { return l.inside(cmd.Start) }

// listen listens at addr:port on the lab's internet.
func (l *Lab) listen(at string) (*net.TCPListener, error) {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, err
	}
	if err := l.own(a); err != nil {
		return nil, err
	}
	l.served = append(l.served, service{a, "tcp"})
	var ln *net.TCPListener
	err = l.inside(func() error {
		ln, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
		return err
	})
	if err == nil {
		l.keep(ln)
	}
	return ln, err
}

func (l *Lab) listenUDP(at string) (*net.UDPConn, error) {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, err
	}
	if err := l.own(a); err != nil {
		return nil, err
	}
	l.served = append(l.served, service{a, "udp"})
	var c *net.UDPConn
	err = l.inside(func() error {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		return err
	})
	if err == nil {
		l.keep(c)
	}
	return c, err
}

// Own gives an address to the lab: it answers echo requests, too.
func (l *Lab) Own(addr string) error {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return err
	}
	return l.own(netip.AddrPortFrom(a, 0))
}

// A service is where a server listens.
type service struct {
	netip.AddrPort
	proto string // tcp | udp
}

func (l *Lab) keep(c io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
}

// Namespace is the descriptor of the lab's network namespace.
func (l *Lab) Namespace() int { return int(l.ns.Fd()) }

// Handle speaks to the kernel about the lab's network namespace.
func (l *Lab) Handle() (*netlink.Handle, error) {
	return netlink.NewHandleAt(vnetns.NsHandle(l.Namespace()), unix.NETLINK_ROUTE)
}
