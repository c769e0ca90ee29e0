// Package wording holds what the descriptions of all kinds' changes have in
// common, so that a plan reads as if one person had written it.
package wording

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"blast.example/blast/plan"
)

// Unreadable describes a change whose attributes are not what the kind writes:
// it shows them as they stand.
func Unreadable(c plan.Change, err error) plan.Description {
	return plan.Description{
		Summary: clip(string(c.To)),
		Items:   []plan.Item{{Name: c.Addr, Action: Action(c.From != nil, c.To != nil), Before: clip(string(c.From)), After: clip(string(c.To)), Because: clip(err.Error())}},
	}
}

const longest = 120

func clip(s string) string { return cut(s, longest) }

// cut is s with at most so many characters.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}

// Foreign makes a text that somebody else chose, such as the name of a process, fit
// to stand in a sentence: at most so many characters, each of which can be seen.
func Foreign(s string, most int) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")), most)
}

// Action is what happens to something that was there before, or is after.
func Action(before, after bool) plan.Action {
	switch {
	case before && after:
		return plan.Update
	case after:
		return plan.Create
	case before:
		return plan.Delete
	}
	return plan.NoOp
}

// Drift makes one item of each difference that was found on the host. What the
// host lacks of what was applied is given back, so it has no direction here.
func Drift(found []string) []plan.Item {
	items := make([]plan.Item, 0, len(found))
	for _, f := range found {
		items = append(items, plan.Item{Name: "host", Action: plan.Update, Because: clip(f)})
	}
	return items
}

// Changed makes an item of a text that differs, and none of one that doesn't.
func Changed(name, before, after string, access plan.Access) []plan.Item {
	if before == after {
		return nil
	}
	return []plan.Item{{Name: name, Action: Action(before != "", after != ""), Before: before, After: after, Access: access}}
}

// List joins the first few of many.
func List(items []string, most int) string {
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return strings.Join(items[:most], ", ") + ", ..."
}
