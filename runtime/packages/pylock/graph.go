package pylock

import (
	"slices"
	"strings"
)

// A Graph is who needs whom in a lock file.
type Graph struct {
	Packages map[string]Package
	Needs    map[string][]string // by name, sorted; only what is in the file
	NeededBy map[string][]string
}

// Graph returns the file's.
func (f File) Graph() Graph {
	g := Graph{map[string]Package{}, map[string][]string{}, map[string][]string{}}
	for _, p := range f.Packages {
		g.Packages[p.Name] = p
	}
	for name, p := range g.Packages {
		for _, d := range p.Dependencies {
			if _, there := g.Packages[d.Name]; there {
				g.Needs[name] = append(g.Needs[name], d.Name)
				g.NeededBy[d.Name] = append(g.NeededBy[d.Name], name)
			}
		}
	}
	for _, m := range []map[string][]string{g.Needs, g.NeededBy} {
		for name := range m {
			slices.Sort(m[name])
			m[name] = slices.Compact(m[name])
		}
	}
	return g
}

// Path is the shortest chain from a package for which from holds to name, both
// included; nil is none. Of several as short it is the first by name.
func (g Graph) Path(name string, from func(name string) bool) []string {
	if _, there := g.Packages[name]; !there {
		return nil
	}
	next := map[string]string{name: ""} // towards name
	for level := []string{name}; len(level) > 0; {
		slices.SortFunc(level, strings.Compare)
		for _, n := range level {
			if from(n) {
				return follow(next, n)
			}
		}
		var up []string
		for _, n := range level {
			for _, by := range g.NeededBy[n] {
				if _, seen := next[by]; !seen {
					next[by] = n
					up = append(up, by)
				}
			}
		}
		level = up
	}
	return nil
}

func follow(next map[string]string, n string) (out []string) {
	for ; n != ""; n = next[n] {
		out = append(out, n)
	}
	return out
}
