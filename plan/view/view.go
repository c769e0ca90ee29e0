// Package view shows a plan: to a person (Text, Summary), to programs (Stream,
// Document, State) and to those who review it (Markdown, Annotations, Outputs,
// Report, Quality). It is pure, as package plan is, and says the same about the
// same plan each time: no clock, no process and no random number has a part in it.
//
// Names come from blast.hcl, from wheels and from the host, so none is believed:
// no form lets one draw on a terminal, end the block that it stands in, call
// somebody or give a command to what reads the form.
package view

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"blast.example/blast/plan"
)

// oneLine keeps text that came from a file or the host from drawing over the
// plan: only what can be seen gets through, and no command to a runner.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	return strings.ReplaceAll(s, command, "# #[")
}

// cut ends a text after n characters, and says so.
func cut(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n]) + "… (" + strconv.Itoa(len(r)-n) + " more characters)"
}

// splitPlace takes "blast.hcl:12" apart. What has no line is no place in a file.
func splitPlace(place string) (file string, line int) {
	i := strings.LastIndexByte(place, ':')
	n, err := strconv.Atoi(place[i+1:])
	if i < 0 || err != nil || n < 1 {
		return "", 0
	}
	return place[:i], n
}

// wider reports whether a direction lets the sandbox do more, whatever else.
func wider(a plan.Access) bool { return a == plan.Widen || a == plan.Both }

// plural is "1 change", "2 changes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

const newSandbox = " with a new sandbox (commands that run now end)"

// headline says what a plan does, as Terraform's headings do: "will be created".
// Names in it are shown as quote returns them.
func headline(p plan.Plan, quote func(string) string) string {
	a := p.Action()
	said := map[plan.Action]string{
		plan.Create: "will be created", plan.Replace: "will be updated", plan.Delete: "will be destroyed",
		plan.Update: "will be updated in-place", plan.NoOp: "stays as it is",
	}[a]
	switch {
	case p.Mode == plan.Normal && p.Of != "":
		return said + ", compared with " + quote(p.Of)
	case a == plan.Delete:
		return said
	case p.Mode == plan.RefreshOnly:
		return "will be recorded as it is"
	case p.Mode == plan.Rollback:
		said = "will be rolled back to generation " + quote(p.Of)
	case p.Mode == plan.Load:
		said = "will be made what snapshot " + quote(p.Of) + " holds"
	}
	if a == plan.Replace {
		said += newSandbox
	}
	return said
}

// remarks say what a plan was not asked to be about, a sentence each.
func remarks(p plan.Plan) []string {
	var out []string
	const part = ": not everything that blast.hcl says."
	if s := p.Scope.Targets; len(s) > 0 {
		out = append(out, "Only: "+strings.Join(s, ", ")+" and what that needs, as --target asks"+part)
	}
	if s := p.Scope.Excluded; len(s) > 0 {
		out = append(out, "Without: "+strings.Join(s, ", ")+" and what needs that, as --exclude asks"+part)
	}
	if p.Scope.Blind {
		out = append(out, "The host was not looked at, as --refresh=false asks: what others changed there is not in here.")
	}
	return out
}

// A Repository says where others see the files that a plan's places are in.
type Repository struct {
	Folder string // of the project in the repository, such as "services/api"; "" is the repository's own
	Lines  string // address of the repository's folder as it was planned, to which a path is added; "" links nothing
}

// Path is a file of the project as the repository calls it.
func (r Repository) Path(file string) string {
	if r.Folder == "" {
		return file
	}
	return strings.TrimSuffix(r.Folder, "/") + "/" + file
}

// link is the address of a line, or "".
func (r Repository) link(file string, line int) string {
	if r.Lines == "" || line == 0 {
		return ""
	}
	var b strings.Builder
	for _, c := range []byte(strings.TrimSuffix(r.Lines, "/") + "/" + r.Path(file)) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return fmt.Sprintf("%s#L%d", b.String(), line)
}
