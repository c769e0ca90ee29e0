package plan

import (
	"fmt"
	"slices"
	"strings"
)

// A Row is all steps of one kind, as a plan counts and shows them: a person
// wrote one network block, and needn't know that it takes two objects.
type Row struct {
	Kind    string
	Action  Action
	Summary string
	Place   string
	Items   []Item
	Notes   []string
	Access  Access
	Drift   bool
}

// Rows groups the steps by kind, in the order of first appearance.
func (p Plan) Rows() []Row {
	var rows []Row
	for _, s := range p.Steps {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Kind == s.Kind() })
		if i < 0 {
			rows = append(rows, Row{Kind: s.Kind(), Action: s.Action})
			i = len(rows) - 1
		}
		r := &rows[i]
		r.Action = join(r.Action, s.Action)
		first := r.Summary == ""
		if r.Place == "" || first && s.Summary != "" && s.Place != "" {
			r.Place = s.Place
		}
		if first || s.Summary == "" {
			r.Summary += s.Summary
		} else {
			r.Summary += "; " + s.Summary // of checks there are several
		}
		r.Items = append(r.Items, s.Items...)
		r.Notes = append(r.Notes, s.Notes...)
		r.Access = r.Access.Add(s.Access())
		r.Drift = r.Drift || s.Drift
	}
	return rows
}

// Action is what happens to the environment as a whole.
func (p Plan) Action() Action {
	if len(p.Steps) == 0 {
		return NoOp
	}
	a := p.Steps[0].Action
	for _, s := range p.Steps[1:] {
		a = join(a, s.Action)
	}
	if a == Create && p.Serial > 0 {
		return Update // part of it is gone, or new
	}
	return a
}

// Shown are the items that a person needs to see: for something new or gone the
// summary has said it all, except where it widens access, or tells how it came that
// it is made.
func (r Row) Shown() []Item {
	return slices.DeleteFunc(slices.Clone(r.Items), func(it Item) bool {
		return r.Action == Create && it.Access != Widen && !it.Tells() || r.Action == Delete
	})
}

// Text is what the item was and what it becomes: "1 GiB -> 2 GiB".
func (it Item) Text() string {
	switch {
	case it.Before != "" && it.After != "":
		return it.Before + " -> " + it.After
	case it.After != "":
		return it.After
	}
	return it.Before
}

func join(a, b Action) Action {
	switch {
	case a == b:
		return a
	case a == Replace || b == Replace:
		return Replace
	}
	return Update
}

// Counts are the numbers of a plan's last line. As in Terraform, a replacement
// counts as one to add and one to destroy.
type Counts struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Destroy int `json:"remove"`
	Wider   int `json:"wider"`
	Narrow  int `json:"narrower"`
}

// Counts counts rows by action, and items by what they do to access.
func (p Plan) Counts() Counts {
	var c Counts
	for _, r := range p.Rows() {
		switch r.Action {
		case Create:
			c.Add++
		case Update:
			c.Change++
		case Delete:
			c.Destroy++
		case Replace:
			c.Add++
			c.Destroy++
		}
		for _, it := range r.Items {
			if it.Access == Widen || it.Access == Both {
				c.Wider++
			}
			if it.Access == Narrow || it.Access == Both {
				c.Narrow++
			}
		}
	}
	return c
}

// maxBrief is how many changes a history tells of one generation.
const maxBrief = 5

// Brief says what a plan does, for a history: the items that change what the sandbox
// may do before others.
func (p Plan) Brief() []string {
	var access, rest []string
	for _, r := range p.Rows() {
		if len(r.Shown()) == 0 {
			rest = append(rest, fmt.Sprintf("%s %s", r.Action.Sign(), r.Kind))
		}
		for _, it := range r.Shown() {
			text := strings.TrimSpace(fmt.Sprintf("%s %s %s", it.Action.Sign(), it.Name, it.Text()))
			if it.Access == Same {
				rest = append(rest, text)
			} else {
				access = append(access, string(it.Access)+" "+text)
			}
		}
	}
	all := slices.Concat(access, rest)
	if more := len(all) - maxBrief; more > 0 {
		all = append(all[:maxBrief], fmt.Sprintf("%d more", more))
	}
	return all
}
