package pep508

import (
	"maps"
	"slices"
	"strings"
)

// maxGroup bounds the requirements of a group: includes multiply.
const maxGroup = 10_000

// groupReader follows include-group (PEP 735).
type groupReader struct {
	*pyprojectReader
	raw  map[string][]any
	done map[string][]Line // by normalised name
	open []string          // names being read, outermost first
}

func (g *groupReader) all() map[string][]Line {
	byName := map[string]string{} // normalised to written
	for _, name := range slices.Sorted(maps.Keys(g.raw)) {
		if first, twice := byName[NormalizeName(name)]; twice {
			g.problem(0, "Dependency group defined twice", "%q and %q are the same name. Rename one.", first, name)
			return nil
		}
		byName[NormalizeName(name)] = name
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		g.group(name, byName)
	}
	return g.done
}

// group reads one group and those it includes, each once.
func (g *groupReader) group(name string, byName map[string]string) []Line {
	if lines, ok := g.done[name]; ok {
		return lines
	}
	written := byName[name]
	array := key("dependency-groups", written)
	g.open = append(g.open, name)
	var out []Line
	for i, entry := range g.raw[written] {
		switch e := entry.(type) {
		case string:
			if l, ok := g.requirement(g.line(array, i), e); ok {
				out = append(out, l)
			}
		case map[string]any:
			out = append(out, g.include(written, e, byName)...)
			if len(out) > maxGroup {
				g.problem(0, "Dependency group too large", "%q has more than %d requirements with those it includes.", written, maxGroup)
				out = nil
			}
		default:
			g.problem(0, "Invalid dependency group", "Entry %d of %q is neither a requirement nor { include-group = \"name\" }.", i+1, written)
		}
	}
	g.open = g.open[:len(g.open)-1]
	g.done[name] = out
	return out
}

func (g *groupReader) include(group string, entry map[string]any, byName map[string]string) []Line {
	target, ok := entry["include-group"].(string)
	name := NormalizeName(target)
	switch {
	case !ok || len(entry) != 1:
		g.problem(0, "Invalid dependency group", "An entry of %q is no { include-group = \"name\" }.", group)
	case byName[name] == "":
		g.problem(0, "Unknown dependency group", "%q includes %q, which is not defined. Define it in [dependency-groups], or remove the line.", group, target)
	case slices.Contains(g.open, name):
		g.problem(0, "Dependency groups include each other", "%s. Remove one of the lines.", strings.Join(append(g.open, name), " includes "))
	default:
		return g.group(name, byName)
	}
	return nil
}
