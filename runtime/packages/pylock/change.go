package pylock

import (
	"slices"
	"strings"
)

// A Change is how a package of two lock files differs.
type Change struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"` // version; "" if it was not there
	To   string `json:"to,omitempty"`   // "" if it is not there any more
}

// Changes lists by name what has another version, comes or goes.
func Changes(from, to File) []Change {
	was, is := from.versions(), to.versions()
	var out []Change
	for name, v := range is {
		if was[name] != v {
			out = append(out, Change{name, was[name], v})
		}
	}
	for name, v := range was {
		if _, there := is[name]; !there {
			out = append(out, Change{Name: name, From: v})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (f File) versions() map[string]string {
	out := map[string]string{}
	for _, p := range f.Packages {
		out[p.Name] = p.Version
	}
	return out
}
