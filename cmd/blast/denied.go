package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/state"
)

// maxExplained bounds what is printed: the command decides how much it is refused.
const maxExplained = 10

// explain tells what was refused since the offset, once per target, with the
// line that decided and the block that would allow it. It returns how many
// targets there were.
func (u *ui) explain(env state.Env, st state.State, log string, from int64) int {
	ds, _, err := denial.Read(log, from)
	if err != nil {
		u.say("blast: can't read what was denied: %v", err)
	}
	seen := map[string]bool{}
	n, missed := 0, 0
	for _, d := range ds {
		missed += d.Missed
		key := d.Target() + d.Protocol
		if seen[key] || d.Allowed { // let through and noted: default = "audit"
			continue
		}
		seen[key] = true
		if n++; n > maxExplained {
			continue
		}
		if n == 1 {
			u.calm()
			u.say("\n%-78s [N101]", "blast: denied by the sandbox, not by the network")
		} else {
			u.say("")
		}
		u.explainOne(env, st, d)
	}
	if n > maxExplained || missed > 0 {
		u.say("\n  %d more were denied, and %d times too many at once to note what", max(n-maxExplained, 0), missed)
	}
	return n
}

// calm takes back what a command may have left on the terminal to hide what
// follows: an escape sequence without an end, other characters, invisible text.
func (u *ui) calm() {
	if isTerminal(u.stderr) && os.Getenv("TERM") != "dumb" {
		fmt.Fprint(u.stderr, "\x18\x1b\\\x0f\x1b(B\x1b[m") // CAN, ST, SI, ASCII, SGR 0; see console_codes(4)
	}
}

func (u *ui) explainOne(env state.Env, st state.State, d denial.Denial) {
	u.say("  what   %s", clean(what(d)))
	u.say("  why    %-68s %s", clean(why(env, d)), clean(placeOfPolicy(st)))
	lines := suggestion(d)
	if lines == nil {
		return
	}
	u.say("  allow  add to blast.hcl, inside network { }, then blast apply:")
	for _, l := range lines {
		u.say("         %s", clean(l))
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

// placeOfPolicy is the line of the network block, which denies by default.
func placeOfPolicy(st state.State) string {
	for _, o := range st.Objects {
		if o.Addr == network.PolicyAddr {
			return plan.PlaceOf(o.Src, "")
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
		if _, ok := rules.Normalize(d.Host); !ok {
			return nil
		}
		return []string{
			fmt.Sprintf("egress %q {", ruleName(d.Host)),
			fmt.Sprintf("  domains = [%q]", d.Host),
			fmt.Sprintf("  ports   = [%d]", port),
			"}",
		}
	}
	out := []string{
		fmt.Sprintf("egress %q {", ruleName(d.Addr)),
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

// ruleName makes a label of a host: api.github.com is api-github-com.
func ruleName(host string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(host)), "-")
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
