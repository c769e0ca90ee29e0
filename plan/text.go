package plan

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Style says how a plan is drawn.
type Style struct {
	Color bool // ANSI colours
	ASCII bool // no character beyond ASCII
}

// NoChanges is Terraform's sentence for an empty plan; tools look for it.
const NoChanges = "No changes. Your infrastructure matches the configuration."

// Text writes the plan for a person.
func (p Plan) Text(w io.Writer, st Style) error {
	var b strings.Builder
	if len(p.Steps) == 0 {
		p.nothing(&b)
		_, err := io.WriteString(w, b.String())
		return err
	}
	rows := p.Rows()
	p.driftText(&b, rows)
	fmt.Fprintf(&b, "  # environment.%s %s\n", p.Env, p.headline(rows))
	wide := width(rows)
	for _, r := range rows {
		st.row(&b, r, wide)
	}
	c := p.Counts()
	fmt.Fprintf(&b, "\nPlan: %d to add, %d to change, %d to destroy.", c.Add, c.Change, c.Destroy)
	fmt.Fprintf(&b, "   Access: %s %d wider, %s %d narrower.\n", st.mark(Widen), c.Wider, st.mark(Narrow), c.Narrow)
	for _, r := range rows {
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "Note: %s: %s\n", r.Kind, n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// nothing tells of a plan that changes nothing on the host.
func (p Plan) nothing(b *strings.Builder) {
	if p.Mode != RefreshOnly || !p.Recorded {
		b.WriteString(NoChanges + "\n")
		return
	}
	b.WriteString("Changed outside of Blast since the last apply:\n\n")
	for _, s := range p.Drift {
		fmt.Fprintf(b, "  %-3s %s\n", s.Action.Sign(), s.Addr)
		for _, it := range s.Items {
			fmt.Fprintf(b, "%s\n", oneLine(strings.TrimRight(fmt.Sprintf("      %-3s %-24s %s", it.Action.Sign(), it.Name, it.text()), " ")))
		}
	}
	b.WriteString("\nThis is a refresh-only plan: to apply it records this, and changes nothing on the host.\n")
}

func (p Plan) driftText(b *strings.Builder, rows []Row) {
	var kinds []string
	for _, r := range rows {
		if r.Drift {
			kinds = append(kinds, r.Kind)
		}
	}
	if len(kinds) > 0 {
		fmt.Fprintf(b, "Note: changed outside of Blast since the last apply: %s\n\n", strings.Join(kinds, ", "))
	}
}

func (p Plan) headline(rows []Row) string {
	a := rows[0].Action
	for _, r := range rows[1:] {
		a = join(a, r.Action)
	}
	if a == Create && p.Serial > 0 {
		a = Update // part of it is gone, or new
	}
	switch a {
	case Create:
		return "will be created"
	case Delete:
		return "will be destroyed"
	case Replace:
		return "will be updated with a new sandbox (commands that run now end)"
	}
	return "will be updated in-place"
}

// width is the width of the column before the places.
func width(rows []Row) int {
	wide := 0
	for _, r := range rows {
		wide = max(wide, 19+utf8.RuneCountInString(r.text()))
		for _, it := range r.items() {
			wide = max(wide, 35+utf8.RuneCountInString(it.text()))
		}
	}
	return min(wide, 76)
}

// text is what the row says beside its kind. Of a change the items tell.
func (r Row) text() string {
	if r.Action == Create || r.Action == Delete {
		return r.Summary
	}
	return ""
}

// items are the lines below the row: for something new or gone the summary has
// said it all, except where it widens access, or tells how it came that it is made.
func (r Row) items() []Item {
	var out []Item
	for _, it := range r.Items {
		if r.Action == Create && it.Access != Widen && !it.Tells() || r.Action == Delete {
			continue
		}
		out = append(out, it)
	}
	return out
}

func (it Item) text() string {
	switch {
	case it.Before != "" && it.After != "":
		return it.Before + " -> " + it.After
	case it.After != "":
		return it.After
	}
	return it.Before
}

func (st Style) row(b *strings.Builder, r Row, wide int) {
	line := fmt.Sprintf("  %-3s %-12s %s", r.Action.Sign(), r.Kind, r.text())
	st.line(b, r.Action, line, wide, Same, "", r.Place)
	for _, it := range r.items() {
		line := fmt.Sprintf("      %-3s %-24s %s", it.Action.Sign(), it.Name, it.text())
		when := ""
		if r.Action != Create {
			when = "live"
			if it.Restart {
				when = "restart"
			}
		}
		st.line(b, it.Action, line, wide, it.Access, strings.TrimSpace(when+"  "+it.Because), it.Place)
	}
}

// line draws one line: what, ▲ or ▼, how, and the place that asks for it.
func (st Style) line(b *strings.Builder, a Action, text string, wide int, acc Access, how, place string) {
	text = oneLine(text)
	if acc == Same && how == "" && place == "" {
		b.WriteString(st.color(a, strings.TrimRight(text, " ")) + "\n")
		return
	}
	pad := max(wide-utf8.RuneCountInString(text), 0)
	tail := strings.TrimRight(fmt.Sprintf("  %s %s", st.mark(acc), strings.TrimSpace(how+"  "+place)), " ")
	b.WriteString(st.color(a, text) + strings.Repeat(" ", pad) + tail + "\n")
}

// oneLine keeps text that came from a file or the host from drawing over the
// plan: no control character gets to the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}

func (st Style) mark(a Access) string {
	marks := map[Access]string{Same: " ", Widen: "▲", Narrow: "▼", Both: "◆"}
	if st.ASCII {
		marks = map[Access]string{Same: " ", Widen: "^", Narrow: "v", Both: "*"}
	}
	return marks[a]
}

func (st Style) color(a Action, s string) string {
	codes := map[Action]string{Create: "32", Delete: "31", Update: "33", Replace: "35"}
	if !st.Color || codes[a] == "" {
		return s
	}
	return "\x1b[" + codes[a] + "m" + s + "\x1b[0m"
}
