package session

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/hostname"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

// maxExplained bounds what is printed: the command decides how much it is refused.
const maxExplained = 10

// explain tells what was refused since the offset, once per target, with the
// line that decided and the block that would allow it. It returns how many
// targets there were.
func (s Session) explain(st state.State, log string, from int64) int {
	ds, _, err := denial.Read(log, from)
	if err != nil {
		s.say("blast: can't read what was denied: %v", err)
	}
	seen := map[string]bool{}
	n, missed := 0, 0
	for _, d := range ds {
		missed += d.Missed
		key := d.Target() + d.Protocol
		if seen[key] || d.Allowed || d.Op == denial.Visit { // let through and noted: default = "audit"; or not the command's doing
			continue
		}
		seen[key] = true
		if n++; n > maxExplained {
			continue
		}
		if n == 1 {
			s.calm()
			s.say("\n%-78s [N101]", "blast: denied by the sandbox, not by the network")
		} else {
			s.say("")
		}
		s.explainOne(st, d)
	}
	if n > maxExplained {
		s.say("\n  %d more were denied", n-maxExplained)
	}
	if missed > 0 {
		s.say("\n  %d denials came too fast to note what was tried", missed)
	}
	return n
}

// calm takes back what a command may have left on the terminal to hide what
// follows: an escape sequence without an end, other characters, invisible text.
func (s Session) calm() {
	if term.IsTerminal(int(s.Stderr.Fd())) && os.Getenv("TERM") != "dumb" {
		_, _ = fmt.Fprint(s.Stderr, "\x18\x1b\\\x0f\x1b(B\x1b[m") // CAN, ST, SI, ASCII, SGR 0; see console_codes(4)
	}
}

func (s Session) explainOne(st state.State, d denial.Denial) {
	s.say("  what   %s", clean(what(d)))
	s.say("  why    %-68s %s", clean(why(s.Env, d)), clean(placeOf(st, policyAddr, d.Limit)))
	if d.Limit != "" {
		return // it is allowed, and the reason says which number to change
	}
	lines := suggestion(d)
	if lines == nil {
		return
	}
	s.say("  allow  add to blast.hcl, inside network { }, then blast apply:")
	for _, l := range lines {
		s.say("         %s", clean(l))
	}
}

func what(d denial.Denial) string {
	s := d.Target()
	if d.Protocol == "udp" {
		s += " (udp)"
	}
	if d.Command != "" {
		s += ", from " + word(d.Command)
		if d.PID > 0 {
			s += fmt.Sprintf(" (pid %d)", d.PID)
		}
	}
	if d.Script != "" {
		s += ", " + word(d.Script)
	}
	return s
}

// word is a name that a sandboxed process chose. With blanks in it, it could
// look like more lines of ours where the terminal wraps it.
func word(s string) string {
	if strings.Contains(s, " ") {
		return strconv.Quote(s)
	}
	return s
}

func why(env state.Env, d denial.Denial) string {
	if d.Reason != "" {
		return d.Reason
	}
	return fmt.Sprintf("no egress rule of environment.%s names this host", env.Name)
}

// policyAddr is network.PolicyAddr, environmentAddr process.EnvironmentAddr. The
// words of a block, and the language with them, are too heavy to start a command with.
const (
	policyAddr      = "network.policy"
	environmentAddr = "process.environment"
)

// placeOfSecret is the line of the secret that has no value.
func placeOfSecret(st state.State, err error) string {
	var m *secret.MissingError
	if !errors.As(err, &m) {
		return ""
	}
	return placeOf(st, environmentAddr, "secret."+m.Name)
}

func placeOf(st state.State, addr, item string) string {
	for _, o := range st.Objects {
		if o.Addr == addr {
			return plan.PlaceOf(o.Src, item)
		}
	}
	return ""
}

// suggestion is the block that would allow what was denied; nil if none would,
// as a query need not be for a host name. "*.com" and "${…}" would mean more.
func suggestion(d denial.Denial) []string {
	port := d.Port
	if port == 0 {
		port = 443 // the name was refused before a port was tried
	}
	if d.Host != "" {
		if _, ok := hostname.Normalize(d.Host); !ok {
			return nil
		}
		return []string{
			fmt.Sprintf("egress %q {", hostname.Label(d.Host)),
			fmt.Sprintf("  domains = [%q]", d.Host),
			fmt.Sprintf("  ports   = [%d]", port),
			"}",
		}
	}
	out := []string{
		fmt.Sprintf("egress %q {", hostname.Label(d.Addr)),
		fmt.Sprintf("  cidrs = [%q]", prefix(d.Addr)),
		fmt.Sprintf("  ports = [%d]", port),
	}
	if d.Protocol == "udp" {
		out = append(out, `  protocol = "udp"`)
	}
	return append(out, "}")
}

func prefix(addr string) string {
	if strings.Contains(addr, ":") {
		return addr + "/128"
	}
	return addr + "/32"
}

// clean keeps what a sandboxed process chose, such as a host name, from
// writing control characters to the person's terminal, or turning text around.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
