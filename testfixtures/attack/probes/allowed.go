package probes

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

const allowedCategory = "Known and accepted"

// allowedProbes are ways out that docs/threat-model.md says are open. They show that the rest of the
// suite would see one.
func allowedProbes() []Probe {
	var ps []Probe
	add := func(name, what, why string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "allowed-" + name, Category: allowedCategory, What: what, Known: why, Try: try})
	}
	add("https", "data to an allowed host, with TLS", "a rule for a host trusts it", handshake(goodName, 443, goodName, goodName))
	add("fronting", "another host inside of TLS with an allowed name", "inside TLS nothing is read", handshake(goodName, 443, goodName, otherName))
	add("ech", "an encrypted name behind an allowed one", "inside TLS nothing is read", greet(goodName, 443, 0, hello{names: []string{goodName}, more: ech(otherName)}))
	add("http", "data in a request to an allowed host", "a rule for a host trusts it", func(a Aim) error {
		c, err := reach(goodName, 80)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, strings.ReplaceAll("GET /TOKEN HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n", "TOKEN", a.Token)); err != nil {
			return err
		}
		said, err := io.ReadAll(c)
		if !strings.Contains(string(said), "200 OK") {
			return errors.Join(err, errors.New(http.StatusText(http.StatusBadGateway)))
		}
		return nil
	})
	add("name", "a name under a wildcard, connected to", "the budget of a wildcard bounds how much", func(a Aim) error {
		return handshake(a.Token+".many.example", 443, a.Token+".many.example", a.Token+".many.example")(a)
	})
	add("tcp", "a protocol of one's own to an allowed host", "a rule for a host trusts it", func(a Aim) error {
		c, err := reach("echo.example", 7)
		if err != nil {
			return err
		}
		_, err = speak(c, []byte("\x00"+a.Token))
		return err
	})
	add("cidr", "the same to an allowed address", "a rule for an address trusts it", tell("tcp", Database+":5432"))
	add("cidr-udp", "a datagram to one", "a rule for an address trusts it", tell("udp", Datagram+":4500"))
	add("wide", "any public address, by a rule for 0.0.0.0/0", "the rule says so", tell("tcp", join(Attacker, Wide)))
	add("wide-6", "the same by IPv6", "the rule says so", tell("tcp", join(Attacker6, Wide)))
	return ps
}
