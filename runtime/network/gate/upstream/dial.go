package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"blast.example/blast/runtime/network/gate/rules"
)

// Bounds of making a connection.
const (
	dialTimeout = 10 * time.Second // for all addresses of a name
	eachTimeout = 4 * time.Second  // for one of them
	maxTries    = 4                // addresses
)

// A RefusedError is a connection that the policy forbids, though its name is allowed.
type RefusedError struct{ Verdict rules.Verdict }

func (e *RefusedError) Error() string { return e.Verdict.Reason }

// Taken says why an address that the rules allow isn't to be reached all the same, if
// it isn't. own are those of the host.
type Taken func(protocol string, to netip.AddrPort, own []netip.Prefix) (v rules.Verdict, taken bool)

// A Dialer makes connections from the host's network. It may be used by
// several goroutines.
type Dialer struct {
	Resolver *Resolver
	Rules    *rules.Rules
	Taken    Taken // nil: nothing is
}

// Named connects to a port of a normalized name: it looks the name up, drops
// the addresses that the name must not lead to, and dials what is left. So the
// address that was checked is the address that is used.
func (d Dialer) Named(ctx context.Context, name string, port uint16) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := d.Resolver.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	own, err := OwnAddrs()
	if err != nil {
		return nil, err
	}
	var refused, failed error
	tries := 0
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, port)
		if v := d.leadsTo(to, own); !v.OK {
			refused = &RefusedError{v}
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		c, err := DialTCP(ctx, to)
		if err == nil {
			return c, nil
		}
		failed = err
	}
	if failed != nil {
		return nil, failed
	}
	return nil, refused
}

func (d Dialer) leadsTo(to netip.AddrPort, own []netip.Prefix) rules.Verdict {
	v := d.Rules.LeadsTo(to, own, time.Now())
	if v.OK && d.Taken != nil {
		if no, taken := d.Taken("tcp", to, own); taken {
			return no
		}
	}
	return v
}

// DialTCP connects to an address that was checked.
func DialTCP(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: eachTimeout}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("connect upstream: %w", err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connect upstream: %T is no TCP connection", c), c.Close())
	}
	return tcp, nil
}
