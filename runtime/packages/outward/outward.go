// Package outward makes the connections by which packages come: from the host,
// which reaches what no index should be able to name.
//
// A rule that allows a name allows whatever the name's owner lets it lead to. So
// a name must not lead to the host itself, to its link, or to what tells cloud machines
// their secrets; an address that was written down may, as it was meant. Private
// networks are open: there, companies have their indexes.
package outward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// A RefusedError is a name that leads where none may.
type RefusedError struct {
	Host string
	Addr netip.Addr
	What string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s leads to %s (%s), where packages don't come from; if they do, write the address in place of the name", e.Host, e.Addr, e.What)
}

// Denied marks the error as final: to ask again changes nothing.
func (*RefusedError) Denied() {}

// closed are the addresses that no name may lead to.
var closed = []struct {
	what  string
	block netip.Prefix
}{
	{"this host", netip.MustParsePrefix("0.0.0.0/8")},
	{"loopback", netip.MustParsePrefix("127.0.0.0/8")},
	{"link-local, cloud metadata", netip.MustParsePrefix("169.254.0.0/16")},
	{"cloud metadata", netip.MustParsePrefix("100.100.100.200/32")}, // Alibaba Cloud
	{"cloud metadata", netip.MustParsePrefix("168.63.129.16/32")},   // Azure
	{"cloud metadata", netip.MustParsePrefix("192.0.0.192/32")},     // Oracle Cloud
	{"Blast's own synthetic", netip.MustParsePrefix("198.18.0.0/15")},
	{"multicast", netip.MustParsePrefix("224.0.0.0/4")},
	{"reserved", netip.MustParsePrefix("240.0.0.0/4")},
	{"this host", netip.MustParsePrefix("::/96")}, // unspecified, loopback, IPv4-compatible
	{"IPv4-translated", netip.MustParsePrefix("::ffff:0:0:0/96")},
	{"NAT64", netip.MustParsePrefix("64:ff9b::/96")},
	{"NAT64", netip.MustParsePrefix("64:ff9b:1::/48")},
	{"6to4", netip.MustParsePrefix("2002::/16")},
	{"cloud metadata", netip.MustParsePrefix("fd00:ec2::/32")},    // AWS
	{"cloud metadata", netip.MustParsePrefix("fd20:ce::254/128")}, // Google Cloud
	{"link-local", netip.MustParsePrefix("fe80::/10")},
	{"multicast", netip.MustParsePrefix("ff00::/8")},
}

// A Dialer connects to hosts of indexes. Its methods may be called at the same time.
type Dialer struct {
	Timeout  time.Duration
	Resolver *net.Resolver // nil is the host's
}

// DialContext is that of net.Dialer. The address that is checked is the one that is used.
func (d Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	dialer := &net.Dialer{Timeout: d.Timeout, Resolver: d.Resolver}
	if !written(host) {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error { return check(host, address) }
	}
	c, err := dialer.DialContext(ctx, network, addr)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil, refused
	}
	return c, err
}

// written reports whether a host says by itself where it is: an address, or the
// name of this very host (RFC 6761).
func written(host string) bool {
	_, err := netip.ParseAddr(host)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func check(host, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", host, err)
	}
	a := to.Addr().Unmap().WithZone("")
	for _, c := range closed {
		if c.block.Contains(a) {
			return &RefusedError{host, a, c.what}
		}
	}
	return nil
}
