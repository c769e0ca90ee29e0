package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"blast.example/blast/plan"
)

// Style says how a plan is drawn.
type Style struct {
	Color bool // ANSI colours
	ASCII bool // no character beyond ASCII
}

// NoChanges is Terraform's sentence for an empty plan; tools look for it.
const NoChanges = "No changes. Your infrastructure matches the configuration."

// Text writes the plan for a person.
func Text(w io.Writer, p plan.Plan, st Style) error {
	var b strings.Builder
	st.drift(&b, p)
	if rows := p.Rows(); len(rows) == 0 {
		nothing(&b, p)
	} else {
		heading(&b, p)
		wide := width(rows)
		for _, r := range rows {
			st.row(&b, r, wide)
		}
		fmt.Fprintf(&b, "\n%s\n", st.counts(p.Counts()))
		for _, r := range rows {
			for _, n := range r.Notes {
				fmt.Fprintf(&b, "Note: %s: %s\n", r.Kind, oneLine(n))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Summary writes a line per row and the counts.
func Summary(w io.Writer, p plan.Plan, st Style) error {
	var b strings.Builder
	if rows := p.Rows(); len(rows) == 0 {
		nothing(&b, p)
	} else {
		heading(&b, p)
		for _, r := range rows {
			b.WriteString(st.color(r.Action, strings.TrimRight(oneLine("  "+st.brief(r)), " ")) + "\n")
		}
		fmt.Fprintf(&b, "\n%s\n", st.counts(p.Counts()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// brief is a row in one line: "~   network      3 changes, ▲ 1 wider, restart".
func (st Style) brief(r plan.Row) string {
	var parts []string
	if r.Action == plan.Create || r.Action == plan.Delete {
		parts = append(parts, r.Summary)
	} else {
		parts = append(parts, plural(len(r.Items), "change"))
	}
	if n := count(r.Items, func(it plan.Item) bool { return wider(it.Access) }); n > 0 {
		parts = append(parts, fmt.Sprintf("%s %d wider", st.mark(plan.Widen), n))
	}
	if n := count(r.Items, func(it plan.Item) bool { return it.Access == plan.Narrow || it.Access == plan.Both }); n > 0 {
		parts = append(parts, fmt.Sprintf("%s %d narrower", st.mark(plan.Narrow), n))
	}
	if r.Action == plan.Replace {
		parts = append(parts, "restart")
	}
	if r.Drift {
		parts = append(parts, "changed outside of Blast")
	}
	return fmt.Sprintf("%-3s %-12s %s", r.Action.Sign(), r.Kind, strings.Join(parts, ", "))
}

func count(items []plan.Item, has func(plan.Item) bool) int {
	n := 0
	for _, it := range items {
		if has(it) {
			n++
		}
	}
	return n
}

// counts is Terraform's sentence, which tools parse, and one of ours.
func (st Style) counts(c plan.Counts) string {
	return fmt.Sprintf("%s   Access: %s %d wider, %s %d narrower.", planned(c), st.mark(plan.Widen), c.Wider, st.mark(plan.Narrow), c.Narrow)
}

func planned(c plan.Counts) string {
	return fmt.Sprintf("Plan: %d to add, %d to change, %d to destroy.", c.Add, c.Change, c.Destroy)
}

func heading(b *strings.Builder, p plan.Plan) {
	fmt.Fprintf(b, "  # environment.%s %s\n", oneLine(p.Env), oneLine(headline(p, strings.Clone)))
	for _, r := range remarks(p) {
		fmt.Fprintf(b, "  # %s\n", oneLine(r))
	}
}

// nothing tells of a plan that changes nothing on the host.
func nothing(b *strings.Builder, p plan.Plan) {
	if p.Mode == plan.RefreshOnly && p.Recorded {
		b.WriteString("This is a refresh-only plan: to apply it records this, and changes nothing on the host.\n")
		return
	}
	b.WriteString(NoChanges + "\n")
	for _, r := range remarks(p) {
		b.WriteString(oneLine(r) + "\n")
	}
}

// maxDrift is how many lines tell of what happened to one object.
const maxDrift = 12

// drift tells what others did. A plan that destroys takes that with it.
func (st Style) drift(b *strings.Builder, p plan.Plan) {
	if len(p.Drift) == 0 || p.Mode == plan.Destroy {
		return
	}
	var kinds []string
	for _, s := range p.Drift {
		if n := len(kinds); n == 0 || kinds[n-1] != s.Kind() {
			kinds = append(kinds, s.Kind())
		}
	}
	fmt.Fprintf(b, "Note: changed outside of Blast since the last apply: %s\n", oneLine(strings.Join(kinds, ", ")))
	for _, s := range p.Drift {
		b.WriteString(st.color(s.Action, oneLine(fmt.Sprintf("  %-3s %s%s", s.Action.Sign(), s.Addr, gone(s)))) + "\n")
		for i, it := range s.Items {
			if s.Action == plan.Delete {
				break // the line above has said it all
			}
			if i == maxDrift {
				fmt.Fprintf(b, "      ... and %d more\n", len(s.Items)-maxDrift)
				break
			}
			line := fmt.Sprintf("      %-3s %-24s %s", it.Action.Sign(), it.Name, it.Text())
			if who := culprit(it); who != "" {
				line += "  " + who
			}
			b.WriteString(st.color(it.Action, strings.TrimRight(oneLine(line), " ")) + "\n")
		}
	}
	b.WriteString("\n")
}

// culprit is who did it and what else is known, without saying again that it was
// somebody outside of Blast.
func culprit(it plan.Item) string {
	return strings.TrimPrefix(strings.TrimPrefix(it.Because, plan.Outside), ", ")
}

// gone says of what isn't there any more that it is so, and how that came.
func gone(s plan.Step) string {
	if s.Action != plan.Delete {
		return ""
	}
	const is = "  is gone"
	for _, it := range s.Items {
		if why := culprit(it); strings.HasPrefix(why, "gone") {
			return "  is " + why
		} else if strings.HasPrefix(why, "by ") {
			return is + ", " + why
		} else if why != "" {
			return is + ": " + why
		}
	}
	return is
}

// width is the width of the column before the places.
func width(rows []plan.Row) int {
	wide := 0
	for _, r := range rows {
		wide = max(wide, 19+utf8.RuneCountInString(saying(r)))
		for _, it := range r.Shown() {
			wide = max(wide, 35+utf8.RuneCountInString(it.Text()))
		}
	}
	return min(wide, 76)
}

// saying is what the row says beside its kind. Of a change the items tell.
func saying(r plan.Row) string {
	switch r.Action {
	case plan.Create, plan.Delete:
		return r.Summary
	case plan.Replace:
		return "a new one beside the old, which then ends"
	}
	return ""
}

func (st Style) row(b *strings.Builder, r plan.Row, wide int) {
	line := fmt.Sprintf("  %-3s %-12s %s", r.Action.Sign(), r.Kind, saying(r))
	st.line(b, r.Action, line, wide, plan.Same, "", r.Place)
	for _, it := range r.Shown() {
		line := fmt.Sprintf("      %-3s %-24s %s", it.Action.Sign(), it.Name, it.Text())
		when := ""
		if r.Action != plan.Create {
			when = "live"
			if it.Restart {
				when = "restart"
			}
		}
		st.line(b, it.Action, line, wide, it.Access, strings.TrimSpace(when+"  "+it.Because), it.Place)
	}
}

// line draws one line: what, ▲ or ▼, how, and the place that asks for it.
func (st Style) line(b *strings.Builder, a plan.Action, text string, wide int, acc plan.Access, how, place string) {
	text = oneLine(text)
	if acc == plan.Same && how == "" && place == "" {
		b.WriteString(st.color(a, strings.TrimRight(text, " ")) + "\n")
		return
	}
	pad := max(wide-utf8.RuneCountInString(text), 0)
	tail := strings.TrimRight(oneLine(fmt.Sprintf("  %s %s", st.mark(acc), strings.TrimSpace(how+"  "+place))), " ")
	b.WriteString(st.color(a, text) + strings.Repeat(" ", pad) + tail + "\n")
}

func (st Style) mark(a plan.Access) string {
	marks := map[plan.Access]string{plan.Same: " ", plan.Widen: "▲", plan.Narrow: "▼", plan.Both: "◆"}
	if st.ASCII {
		marks = map[plan.Access]string{plan.Same: " ", plan.Widen: "^", plan.Narrow: "v", plan.Both: "*"}
	}
	return marks[a]
}

func (st Style) color(a plan.Action, s string) string {
	codes := map[plan.Action]string{plan.Create: "32", plan.Delete: "31", plan.Update: "33", plan.Replace: "35"}
	if !st.Color || codes[a] == "" {
		return s
	}
	return "\x1b[" + codes[a] + "m" + s + "\x1b[0m"
}
