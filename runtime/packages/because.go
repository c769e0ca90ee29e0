package packages

import (
	"slices"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages/pylock"
)

// reasons tell why packages come, go, or have another version. Locks say who needs
// whom, and wishes what was asked for otherwise.
type reasons struct {
	before, after map[string]string   // what is asked for, by project
	needed        map[string][]string // projects that need it, or did
	others        bool                // where packages come from, or for which Python, is asked for otherwise
}

func newReasons(from, to Set) reasons {
	a, b := from.Wishes, to.Wishes
	return reasons{
		before: asked(a.Requirements), after: asked(b.Requirements), needed: needs(from.Lock, to.Lock),
		others: a.Version != b.Version || a.RequiresPython != b.RequiresPython || !slices.Equal(a.Indexes(), b.Indexes()),
	}
}

// needs lists by project those that need it, the new lock's first. A lock that can't
// be read says nothing.
func needs(from, to Lock) map[string][]string {
	out := map[string][]string{}
	for _, l := range []Lock{to, from} {
		file, err := pylock.Decode([]byte(l.Content))
		if err != nil {
			continue
		}
		told := map[string]bool{} // the new lock has the last word about those in it
		for name := range out {
			told[name] = true
		}
		for _, p := range file.Packages {
			for _, d := range p.Dependencies {
				if !told[d.Name] {
					out[d.Name] = append(out[d.Name], p.Name)
				}
			}
		}
	}
	return out
}

// maxNeeding is how many projects a line names that need another one.
const maxNeeding = 3

// tell says of each item why, unless a line of its own asks for it otherwise.
func (r reasons) tell(items []plan.Item) []plan.Item {
	for i := range items {
		it := &items[i]
		name := strings.TrimPrefix(it.Name, "package.")
		if r.before[name] != r.after[name] {
			continue // its line says so
		}
		var because []string
		switch {
		case it.Action != plan.Update:
		case it.Before == it.After:
			because = append(because, "another file of the same version")
		case !r.wished(name):
			because = append(because, "package update")
		}
		if by := r.needed[name]; r.after[name] == "" && len(by) > 0 {
			need := "needed by "
			if it.Action == plan.Delete {
				need = "was needed by "
			}
			because = append(because, need+wording.List(by, maxNeeding))
		}
		it.Because = strings.Join(because, ", ")
		switch {
		case !r.wished(name):
			it.Cause = plan.ByPackage
		case it.Because != "":
			it.Cause = plan.ByConfiguration
		}
	}
	return items
}

// wished reports whether something that was written otherwise may be why: a line
// about what needs it, or about where packages come from.
func (r reasons) wished(name string) bool {
	seen := map[string]bool{}
	var from func(name string) bool
	from = func(name string) bool {
		if seen[name] {
			return false
		}
		seen[name] = true
		return r.before[name] != r.after[name] || slices.ContainsFunc(r.needed[name], from)
	}
	return r.others || from(name)
}
