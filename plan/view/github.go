package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"blast.example/blast/plan"
)

// maxAnnotations is how many annotations of a level GitHub shows of one step.
// Source: https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md
const maxAnnotations = 10

// An Annotation marks a line in a review on GitHub.
type Annotation struct {
	Level   string // "error", "warning" or "notice"
	Title   string
	Message string
	File    string // "" is none
	Line    int    // from 1; 0 is none
	Column  int    // from 1; 0 is none
}

var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// String is the annotation as a workflow command, which fits in one line.
// Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func (a Annotation) String() string {
	var props []string
	if a.File != "" {
		props = append(props, "file="+property.Replace(oneLine(a.File)))
		if a.Line > 0 {
			props = append(props, "line="+strconv.Itoa(a.Line))
		}
		if a.Column > 0 {
			props = append(props, "col="+strconv.Itoa(a.Column))
		}
	}
	if a.Title != "" {
		props = append(props, "title="+property.Replace(a.Title))
	}
	out := "::" + a.Level
	if len(props) > 0 {
		out += " " + strings.Join(props, ",")
	}
	return out + "::" + data.Replace(Visible(a.Message))
}

// Annotations are the lines that a review should look at: a warning for each that
// widens, a notice for each object that goes or is replaced. Of more than GitHub
// shows the last one tells how many there are.
func Annotations(p plan.Plan, where Repository) []Annotation {
	var wide, grave []Annotation
	for _, s := range p.Steps {
		file, n := splitPlace(s.Place)
		switch {
		case file == "":
		case s.Action == plan.Delete: // its line may be gone
			grave = append(grave, Annotation{Level: "notice", Title: "Destroys", Message: words(oneLine(s.Addr), oneLine(s.Summary)), File: where.Path(file)})
		case s.Action == plan.Replace:
			grave = append(grave, Annotation{Level: "notice", Title: "Replaces", Message: oneLine(s.Addr) + ": commands that run now end", File: where.Path(file), Line: n})
		}
		for _, it := range s.Items {
			if wider(it.Access) {
				wide = append(wide, widening(it, where))
			}
		}
	}
	return append(bounded(wide, "Wider access"), bounded(grave, "Destroys")...)
}

func widening(it plan.Item, where Repository) Annotation {
	a := Annotation{Level: "warning", Title: "Wider access", Message: oneLine(it.Name + ": " + it.Text())}
	if it.Because != "" {
		a.Message += oneLine(" (" + it.Because + ")")
	}
	if file, n := splitPlace(it.Place); file != "" {
		a.File, a.Line = where.Path(file), n
	}
	return a
}

// bounded is no more than GitHub shows.
func bounded(all []Annotation, title string) []Annotation {
	if len(all) <= maxAnnotations {
		return all
	}
	more := len(all) - (maxAnnotations - 1)
	return append(all[:maxAnnotations-1:maxAnnotations-1], Annotation{
		Level: all[0].Level, Title: title, Message: fmt.Sprintf("%d more; the plan has them all", more),
	})
}

// Visible is text that draws nothing on a terminal and tells a runner nothing.
func Visible(s string) string {
	return Uncommand(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s))
}

// Uncommand returns text in which the runner of GitHub's actions finds no command:
// it takes lines that begin with "::", and "##[" wherever that stands.
func Uncommand(s string) string {
	if !strings.Contains(s, "::") && !strings.Contains(s, command) {
		return s
	}
	lines := strings.SplitAfter(strings.ReplaceAll(s, command, "# #["), "\n")
	for i, l := range lines {
		if rest := strings.TrimLeft(l, " \t"); strings.HasPrefix(rest, "::") {
			lines[i] = l[:len(l)-len(rest)] + ": " + rest[1:]
		}
	}
	return strings.Join(lines, "")
}

// Outputs writes what later steps of a job may want to know, in the format of the
// file that $GITHUB_OUTPUT names. Digest is the plan's where it was saved.
func Outputs(w io.Writer, p plan.Plan, digest string) error {
	n := p.Counts()
	var b strings.Builder
	for _, o := range [][2]string{
		{"changes", strconv.FormatBool(!p.Empty())},
		{"add", strconv.Itoa(n.Add)},
		{"change", strconv.Itoa(n.Change)},
		{"destroy", strconv.Itoa(n.Destroy)},
		{"wider", strconv.Itoa(n.Wider)},
		{"narrower", strconv.Itoa(n.Narrow)},
		{"drift", strconv.Itoa(len(p.Drift))},
		{"plan-digest", digest},
	} {
		if o[1] != "" {
			end := delimiter(o[1])
			fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", o[0], end, o[1], end)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// delimiter is a line that a value doesn't have: as it is made of a digest of the
// value, nobody can write a value that has it.
func delimiter(value string) string {
	return "blast_" + plan.DigestOf([]byte(value))[:32]
}
