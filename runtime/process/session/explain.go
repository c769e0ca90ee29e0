package session

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

// maxExplained bounds what is printed: the command decides how much it is refused.
const maxExplained = 10

// explain tells what was refused since the offset, once per target, with the
// line that decided and the command that would allow it. It returns how many
// targets there were.
func (s Session) explain(st state.State, log string, from int64) int {
	ds, _, err := denial.Read(log, from)
	if err != nil {
		s.say("blast: can't read what was denied: %v", err)
	}
	seen, tried := map[string]bool{}, connected(ds)
	n, missed := 0, 0
	for _, d := range ds {
		missed += d.Missed
		key := d.Target() + d.Protocol
		if seen[key] || d.Allowed || d.Op == denial.Visit || d.Op == denial.Resolve && tried[d.Host] { // let through and noted: default = "audit"; or not the command's doing
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

// connected are the hosts to which a connection was refused, too: to say so of their names
// would say it twice.
func connected(ds []denial.Denial) map[string]bool {
	hosts := map[string]bool{}
	for _, d := range ds {
		if d.Op == denial.Connect && d.Host != "" && !d.Allowed {
			hosts[d.Host] = true
		}
	}
	return hosts
}

// choice are the words by which a command finds the environment from where its caller's
// shell is.
func (s Session) choice() []string {
	words := denial.Choice(s.Env.Name)
	shell, err := filepath.EvalSymlinks(os.Getenv("PWD")) // blast -C went elsewhere
	if err != nil || !filepath.IsAbs(shell) || s.Env.Project == "" {
		return words
	}
	if root, err := projectRoot(shell); err != nil || root != s.Env.Project {
		words = append([]string{"-C", s.Env.Project}, words...)
	}
	return words
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
	if allow := d.AllowCommand(s.choice()...); allow != "" {
		s.say("  allow  %s", clean(allow))
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
	if from := cmp.Or(d.Where, d.Script); from != "" {
		s += ", " + word(from)
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
