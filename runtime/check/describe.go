package check

import (
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// shownWords bounds the command in a plan, in characters. Who approves a plan approves
// that it runs: what doesn't fit is counted.
const shownWords = 1000

// Describe implements kinds.Words. A check gives the sandbox nothing and takes
// nothing from it.
func (Words) Describe(c plan.Change) plan.Description {
	var from, to Check
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	label := strings.TrimPrefix(c.Addr, Name+".")
	switch {
	case hasFrom && hasTo:
		d := plan.Description{Summary: label + ": " + to.summary()}
		d.Items = wording.Changed(label+".command", from.Line(shownWords), to.Line(shownWords), plan.Same)
		d.Items = append(d.Items, wording.Changed(label+".timeout", block.FormatDuration(from.Timeout), block.FormatDuration(to.Timeout), plan.Same)...)
		if len(d.Items) == 0 { // beyond what is shown
			d.Items = []plan.Item{{Name: label + ".command", Action: plan.Update, After: to.Line(shownWords)}}
		}
		return d
	case hasTo:
		return plan.Description{Summary: label + ": " + to.summary(), Items: []plan.Item{{Name: label, Action: plan.Create, After: to.summary()}}}
	case hasFrom:
		return plan.Description{Summary: label + ": " + from.summary(), Items: []plan.Item{{Name: label, Action: plan.Delete, Before: from.summary()}}}
	}
	return plan.Description{Summary: label}
}

// summary is "python -c 'import app', within 10s".
func (c Check) summary() string {
	return c.Line(shownWords) + ", within " + block.FormatDuration(c.Timeout)
}
