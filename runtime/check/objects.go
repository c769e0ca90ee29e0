// Package check is the check block: a command that has the last word on an apply.
// It runs in the sandbox that was made, and only if it succeeds is that kept.
package check

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/plan"
)

// Name is the name of this kind, and the first part of its objects' addresses.
const Name = "check"

// Addr is the address of the check with that label.
func Addr(label string) string { return Name + "." + label }

// Label is the label in an address, and whether it is one of this kind. It names a
// file, so nothing but letters, digits, - and _ are in it.
func Label(addr string) (string, bool) {
	label, ok := strings.CutPrefix(addr, Name+".")
	return label, ok && validLabel.MatchString(label)
}

var validLabel = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`)

// Check is the attributes of check.LABEL.
type Check struct {
	Command []string      `json:"command"` // the first is looked up in PATH, as by blast run
	Timeout time.Duration `json:"timeout"` // nanoseconds; what takes longer has failed
}

// Of are the checks among objs, in their order.
func Of(objs []plan.Object) []plan.Object {
	var out []plan.Object
	for _, o := range objs {
		if o.Kind() == Name {
			out = append(out, o)
		}
	}
	return out
}

// Line is the command as a person would type it in a shell, cut to n characters, with
// the number of those left out. All of it is printable.
func (c Check) Line(n int) string {
	words := make([]string, len(c.Command))
	for i, w := range c.Command {
		words[i] = word(w)
	}
	line := []rune(strings.Join(words, " "))
	if more := len(line) - n; more > 0 {
		return string(line[:n]) + "... (" + strconv.Itoa(more) + " more characters)"
	}
	return string(line)
}

var plainWord = regexp.MustCompile(`^[-a-zA-Z0-9_@%+=:,./]+$`)

// word quotes what a shell would not take as it stands.
func word(s string) string {
	quoted := strconv.Quote(s)
	switch {
	case plainWord.MatchString(s):
		return s
	case quoted[1:len(quoted)-1] == s && !strings.Contains(s, "'"):
		return "'" + s + "'"
	}
	return quoted
}
