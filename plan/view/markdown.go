package view

import (
	"cmp"
	"fmt"
	"strings"

	"blast.example/blast/plan"
)

// MarkdownLimit is what a review never reaches, in bytes. GitHub takes 65 536
// characters in a comment, and a bot may want to say something, too.
const MarkdownLimit = 60 * 1024

// A Review is a plan for those who review it, with what Markdown says beside it.
type Review struct {
	Plan   plan.Plan
	Marker string // word of the hidden marker; "" is "plan"
	Title  string // what it is about, instead of what the plan does
	Result string // what came of it; "" where nothing was tried
	Saved  string // the file that it was saved to; "" if none
	Digest string // of the plan; "" is not shown
	Where  Repository
}

// Markdown is a review as a comment or a step summary. It begins with the marker
// "<!-- blast-plan: NAME -->", by which a bot finds the comment that it wrote
// before. What destroys or widens comes first, the rest folded by kind. What finds
// no room below MarkdownLimit is left out, the least important first, and counted.
func Markdown(r Review) []byte {
	f := &folder{review: r, sections: []*section{{}}, named: map[string]*section{}}
	for _, s := range r.Plan.Steps {
		f.step(s)
	}
	for _, s := range r.Plan.Drift {
		f.drift(s)
	}
	for _, row := range r.Plan.Rows() {
		for _, n := range row.Notes {
			f.list(rankNote, "- Note: "+span(row.Kind+": "+n))
		}
	}
	f.sections[0].sort()
	head, tail := r.head(), r.tail()
	var b strings.Builder
	b.WriteString(head)
	b.WriteString(f.choose(MarkdownLimit - 1 - len(head) - len(tail)))
	for _, s := range f.sections {
		s.write(&b)
	}
	b.WriteString(tail)
	return []byte(b.String())
}

func (r Review) head() string {
	about := span(r.Title)
	if about == "" {
		about = headline(r.Plan, span)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- blast-%s: %s -->\n### Blast: %s %s\n\n", label(cmp.Or(r.Marker, "plan")), label(r.Plan.Env), span("environment."+r.Plan.Env), about)
	if r.Plan.Empty() {
		b.WriteString(NoChanges + "\n")
	} else {
		fmt.Fprintf(&b, "**%s**\n", Style{}.counts(r.Plan.Counts()))
	}
	if r.Result != "" {
		fmt.Fprintf(&b, "\n**Result:** %s\n", span(r.Result))
	}
	for _, s := range remarks(r.Plan) {
		fmt.Fprintf(&b, "\n> %s\n", span(s))
	}
	return b.String()
}

func (r Review) tail() string {
	text := ""
	if r.Saved != "" {
		text += "\nTo carry out exactly this: " + span("blast apply "+r.Saved) + "\n"
	}
	if r.Digest != "" {
		text += "\nDigest of the plan: " + span(r.Digest) + "\n"
	}
	return text
}

// step adds a line for what it destroys, one for each item that widens, and the rest
// to the block of its kind.
func (f *folder) step(s plan.Step) {
	switch s.Action {
	case plan.Delete:
		f.list(rankDestroy, "- **destroys** "+words(span(s.Addr), span(s.Summary), was(s.Place)))
	case plan.Replace:
		f.list(rankDestroy, "- **replaces** "+words(span(s.Addr), "commands that run now end", f.link(s.Place)))
	case plan.Create:
		f.fold(s.Kind(), rankRest, "+ "+words(tame(s.Addr), tame(s.Summary), tame(s.Place)))
	case plan.Update, plan.NoOp:
	}
	for _, it := range s.Items {
		switch {
		case wider(it.Access):
			f.list(rankWiden, f.widening(it))
		case s.Action != plan.Create && s.Action != plan.Delete:
			f.fold(s.Kind(), rankOf(it), diffLine(it))
		}
	}
}

// outside names the block about drift.
const outside = "changed outside of Blast since the last apply"

func (f *folder) drift(s plan.Step) {
	f.fold(outside, rankDrift, diffSign(s.Action)+words(tame(s.Addr), tame(gone(s))))
	if s.Action == plan.Delete {
		return
	}
	for _, it := range s.Items {
		f.fold(outside, rankDrift, diffSign(it.Action)+"  "+words(tame(it.Name), tame(it.Text()), tame(culprit(it))))
	}
}

func (f *folder) widening(it plan.Item) string {
	what := "- **▲ widens** "
	if it.Access == plan.Both {
		what = "- **◆ widens and narrows** "
	}
	how := ""
	if it.Restart {
		how = "restart"
	}
	why := span(it.Because)
	if why != "" {
		why = "because: " + why
	}
	return what + words(span(it.Name), span(it.Text()), how, f.link(it.Place), why)
}

// link is a place that leads there, if it can: the lines of an older blast.hcl are
// not where they were.
func (f *folder) link(place string) string {
	text := span(place)
	if f.review.Plan.Mode != plan.Normal {
		return text
	}
	if to := f.review.Where.link(splitPlace(place)); text != "" && to != "" {
		return "[" + text + "](" + to + ")"
	}
	return text
}

// was is the place of what blast.hcl said when it was applied.
func was(place string) string {
	if s := span(place); s != "" {
		return "was " + s
	}
	return ""
}

// diffLine is an item in the colours of a difference.
func diffLine(it plan.Item) string {
	var how []string
	if it.Access == plan.Narrow {
		how = append(how, "▼ narrower")
	}
	if it.Restart {
		how = append(how, "restart")
	}
	return diffSign(it.Action) + words(tame(it.Name), tame(it.Text()), strings.Join(how, ", "), tame(it.Place), tame(it.Because))
}

func diffSign(a plan.Action) string {
	switch a {
	case plan.Create:
		return "+ "
	case plan.Delete:
		return "- "
	case plan.Update, plan.Replace:
		return "! "
	case plan.NoOp:
	}
	return "  "
}

// words joins what there is to say with a gap.
func words(parts ...string) string {
	var b strings.Builder
	for _, s := range parts {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("  ")
		}
		b.WriteString(s)
	}
	return b.String()
}
