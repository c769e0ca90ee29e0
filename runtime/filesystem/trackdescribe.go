package filesystem

import (
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// describeTrack tells of a change of what goes on record. Who sees less of what a
// sandbox does has less hold of it: that widens, though nothing more is allowed.
func describeTrack(c plan.Change) plan.Description {
	var from, to Track
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	if !hasTo {
		d := plan.Description{Summary: from.summary(), Items: wording.Drift(from.Drift)}
		d.Items = append(d.Items, plan.Item{Name: "track", Action: plan.Delete, Before: from.text(), Access: plan.Widen})
		return d
	}
	d := plan.Description{Summary: to.summary(), Items: wording.Drift(from.Drift)}
	if !hasFrom {
		d.Items = append(d.Items, plan.Item{Name: "track", Action: plan.Create, After: to.text(), Access: plan.Narrow})
	} else if access := joined(rank(levels, from.Level, to.Level), covers(from.Paths, to.Paths)); from.text() != to.text() {
		d.Items = append(d.Items, plan.Item{Name: "track", Action: plan.Update, Before: from.text(), After: to.text(), Access: access})
	}
	d.Items = append(d.Items, alertItems(from.Alerts, to.Alerts)...)
	return d
}

func alertItems(from, to []Alert) []plan.Item {
	var items []plan.Item
	for _, a := range to {
		i := slices.IndexFunc(from, func(b Alert) bool { return b.Name == a.Name })
		if i < 0 {
			items = append(items, plan.Item{Name: "alert." + a.Name, Action: plan.Create, After: a.text(), Access: plan.Narrow})
		} else if was := from[i]; was.text() != a.text() {
			items = append(items, plan.Item{Name: "alert." + a.Name, Action: plan.Update, Before: was.text(), After: a.text(), Access: a.since(was)})
		}
	}
	for _, a := range from {
		if !slices.ContainsFunc(to, func(b Alert) bool { return b.Name == a.Name }) {
			items = append(items, plan.Item{Name: "alert." + a.Name, Action: plan.Delete, Before: a.text(), Access: plan.Widen})
		}
	}
	return items
}

// since is the direction in which an alert differs from what it was.
func (a Alert) since(was Alert) plan.Access {
	if a.Event != was.Event {
		return plan.Both
	}
	seen := more(int64(was.Learn), int64(a.Learn))
	if a.FirstSeen != was.FirstSeen { // all that happens is more than what is new
		if seen = plan.Narrow; a.FirstSeen {
			seen = plan.Widen
		}
	}
	paths := plan.Same
	switch {
	case slices.Equal(was.Paths, a.Paths):
	case len(a.Paths) == 0:
		paths = plan.Narrow
	case len(was.Paths) == 0:
		paths = plan.Widen
	default:
		paths = covers(was.Paths, a.Paths)
	}
	return joined(more(was.Threshold, a.Threshold), more(was.Bytes, a.Bytes), opposite(more(int64(was.Window), int64(a.Window))), rank(actions, was.Action, a.Action), paths, seen)
}

// rank compares two words of a list in which the later ones do more.
func rank(words []string, before, after string) plan.Access {
	return opposite(more(int64(slices.Index(words, before))+1, int64(slices.Index(words, after))+1))
}

// covers compares lists of paths. Less on the list is less that is seen.
func covers(before, after []string) plan.Access {
	gone := slices.ContainsFunc(before, func(p string) bool { return !coveredBy(p, after) })
	come := slices.ContainsFunc(after, func(p string) bool { return !coveredBy(p, before) })
	switch {
	case gone && come:
		return plan.Both
	case gone:
		return plan.Widen
	case come:
		return plan.Narrow
	}
	return plan.Same
}

// coveredBy reports whether a list has a pattern, or the folder that it is in.
func coveredBy(p string, list []string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return l == p || !strings.ContainsAny(l, `*?[\`) && within(p, l) })
}

// joined is the direction of several changes together.
func joined(all ...plan.Access) plan.Access {
	out := plan.Same
	for _, a := range all {
		switch {
		case a == plan.Same || a == out:
		case out == plan.Same:
			out = a
		default:
			out = plan.Both
		}
	}
	return out
}

func (t Track) text() string {
	what := "writes"
	if t.Level == All {
		what = "all accesses"
	}
	return what + " in " + strings.Join(t.Paths, ", ")
}

func (t Track) summary() string {
	s := t.text()
	if n := len(t.Alerts); n == 1 {
		s += ", 1 alert"
	} else if n > 1 {
		s += fmt.Sprintf(", %d alerts", n)
	}
	return s
}

// nouns are what a person calls several of an event.
var nouns = map[string]string{Read: "reads", Write: "writes", Create: "creations", Delete: "deletions", Rename: "renames", Execute: "executions", Denied: "denials"}

// text is "200 deletions in 10s: freeze".
func (a Alert) text() string {
	var bounds []string
	if a.Threshold > 0 {
		bounds = append(bounds, fmt.Sprintf("%d %s", a.Threshold, nouns[a.Event]))
	}
	if a.Bytes > 0 {
		bounds = append(bounds, block.FormatSize(a.Bytes)+" of "+nouns[a.Event])
	}
	s := strings.Join(bounds, " or ") + " in " + block.FormatDuration(a.Window)
	if a.FirstSeen {
		s += " in folders first seen (after " + block.FormatDuration(a.Learn) + ")"
	}
	if len(a.Paths) > 0 {
		s += " of " + strings.Join(a.Paths, ", ")
	}
	return s + ": " + a.Action
}
