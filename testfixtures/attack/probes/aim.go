package probes

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a probe waits for an answer that doesn't come.
const patience = 1500 * time.Millisecond

// anyServer is asked for names. Inside, every server is the gate.
const anyServer = "8.8.8.8:53"

func join(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// dial connects, with a deadline for all that follows.
func dial(network, addr string) (net.Conn, error) {
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// ask sends a query and returns the answer.
func ask(network, server string, m *dns.Msg) (*dns.Msg, error) {
	c := &dns.Client{Net: network, Timeout: patience, UDPSize: 4096, TLSConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it's the attacker's own
	r, _, err := c.Exchange(m, server)
	return r, err
}

// addresses looks a name up, IPv4 and IPv6.
func addresses(name string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		r, err := ask("udp", anyServer, new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype))
		if err != nil {
			return nil, err
		}
		for _, rr := range r.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				all = append(all, netip.AddrFrom4([4]byte(rr.A.To4())))
			case *dns.AAAA:
				all = append(all, netip.AddrFrom16([16]byte(rr.AAAA.To16())))
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no such name")
	}
	return all, nil
}

func address(name string) (string, error) {
	all, err := addresses(name)
	if err != nil {
		return "", err
	}
	return all[0].String(), nil
}

// reach connects to a name's port.
func reach(name string, port int) (net.Conn, error) {
	a, err := address(name)
	if err != nil {
		return nil, err
	}
	return dial("tcp", join(a, port))
}

// speak sends b and expects something back.
func speak(c net.Conn, b []byte) ([]byte, error) {
	defer func() { _ = c.Close() }()
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return buf[:n], err
}

// tell sends the token to an address and expects something back.
func tell(network, addr string) func(Aim) error {
	return func(a Aim) error {
		c, err := dial(network, addr)
		if err != nil {
			return err
		}
		_, err = speak(c, []byte(a.Token+"\n"))
		return err
	}
}

// throw sends the token and doesn't wait for anything: it got out if nobody says no.
func throw(network, addr string) func(Aim) error {
	return func(a Aim) error {
		c, err := dial(network, addr)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_, err = c.Write([]byte(a.Token))
		return err
	}
}

// request sends what looks like a request to the port of a name. It got through if the
// server took the token for something said to other.example.
func request(name string, port int, raw string) func(Aim) error {
	return func(a Aim) error {
		c, err := reach(name, port)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, strings.ReplaceAll(raw, "TOKEN", a.Token)); err != nil {
			return err
		}
		if tcp, ok := c.(*net.TCPConn); ok && !a.Inside {
			_ = tcp.CloseWrite()
		}
		said, err := io.ReadAll(io.LimitReader(c, 1<<20))
		if bytes.Contains(said, []byte("200 OK")) && bytes.Contains(said, []byte(a.Token)) {
			return nil
		}
		return fmt.Errorf("answered %.60q: %w", said, errors.Join(err, errors.New("not to whom it was for")))
	}
}

// handshake speaks TLS with a server name to the port of a name, and asks for host.
func handshake(name string, port int, sni, host string) func(Aim) error {
	return func(a Aim) error {
		c, err := reach(name, port)
		if err != nil {
			return err
		}
		return https(c, a, sni, host)
	}
}

func https(c net.Conn, a Aim, sni, host string) error {
	defer func() { _ = c.Close() }()
	sni = strings.ReplaceAll(sni, "TOKEN", a.Token)
	t := tls.Client(c, &tls.Config{ServerName: sni, InsecureSkipVerify: true}) //nolint:gosec // it's the attacker's own
	if err := t.Handshake(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(t, "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", a.Token, host); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(t), nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// pieces writes some bytes at a time.
type pieces struct {
	net.Conn
	size int
}

func (p pieces) Write(b []byte) (int, error) {
	n := 0
	for part := range slices.Chunk(b, p.size) {
		m, err := p.Conn.Write(part)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func encodings(token string) []string {
	b := []byte(token)
	reversed := bytes.Clone(b)
	slices.Reverse(reversed)
	half := len(token) / 2
	all := []string{
		token, string(reversed), hex.EncodeToString(b), base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b),
		token[:half] + "." + token[half:], token[:half] + string([]byte{byte(len(token) - half)}) + token[half:],
	}
	for before := range 3 { // what stands before it shifts the digits
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + token))
		all = append(all, text[4*((before+2)/3):len(text)-len(text)%4-4])
	}
	return all
}
