package ttl

import (
	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

var (
	_ kinds.Words  = Words{}
	_ kinds.Porter = Words{}
)

// Describe implements kinds.Words. An end gives the sandbox nothing; a later one, or
// none, lets it have what it has for longer.
func (Words) Describe(c plan.Change) plan.Description {
	var from, to TTL
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	it := plan.Item{Name: Name}
	if hasFrom {
		it.Before = block.FormatDuration(from.TTL)
	}
	if hasTo {
		it.After = block.FormatDuration(to.TTL)
	}
	switch {
	case hasFrom && hasTo:
		it.Action = plan.Update
		if it.Access = plan.Narrow; to.TTL > from.TTL {
			it.Access = plan.Widen
		}
	case hasTo:
		it.Action = plan.Create
	case hasFrom:
		it.Action, it.Access = plan.Delete, plan.Same
	default:
		return plan.Description{}
	}
	if hasFrom && hasTo && from == to {
		return plan.Description{Summary: summary(to)}
	}
	d := plan.Description{Summary: summary(to), Items: []plan.Item{it}}
	if !hasTo {
		d.Summary = summary(from)
	}
	return d
}

func summary(t TTL) string { return "destroyed after " + block.FormatDuration(t.TTL) }

// Leave implements kinds.Porter: a time is the same everywhere.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) { return objs, nil }

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	for _, o := range objs {
		var t TTL
		if err := kinds.Strictly(o, &t); err != nil {
			return err
		}
		to.Duration(Name, t.TTL)
	}
	return nil
}
