package solver

import "slices"

// incompat is a set of terms that can't all hold.
type incompat struct {
	terms []term // at most one per package
	why   reason

	places []int // of each term's package, where in store.byPkg this is
}

type reasonKind int

const (
	rootReason  reasonKind = iota
	asks                   // a dependency
	limits                 // a line that only bounds
	sameVersion            // an extra has its project's version
	noVersions             // nothing in the set
	unusable               // versions that can't be used
	missing                // no such package
	conflict               // follows from two others
)

type reason struct {
	kind     reasonKind
	dep      Dependency
	text     string
	from, by *incompat
}

// put adds a term, or joins it with what there is of its package.
func (i *incompat) put(t term) {
	for n := range i.terms {
		if i.terms[n].pkg == t.pkg {
			i.terms[n] = i.terms[n].and(t)
			return
		}
	}
	i.terms = append(i.terms, t)
}

// combine resolves i with the cause of its satisfier, which then drops out.
func combine(i *incompat, sat assignment, t term) *incompat {
	out := &incompat{why: reason{kind: conflict, from: i, by: sat.cause}}
	for _, it := range slices.Concat(i.terms, sat.cause.terms) {
		if it.pkg != sat.pkg {
			out.put(it)
		}
	}
	if t.of(sat.term) != satisfied {
		// t minus what the satisfier says, turned round.
		out.put(sat.term.and(t.negate()).negate())
	}
	return out
}

// store keeps the incompatibilities, by the packages that they are about.
type store struct {
	byPkg map[string][]*incompat
	edges map[edge]*incompat
}

// edge is one dependency of a package, whichever of its versions has it.
type edge struct{ from, to, text string }

func newStore() store {
	return store{byPkg: map[string][]*incompat{}, edges: map[edge]*incompat{}}
}

func (s *store) add(i *incompat) {
	for _, t := range i.terms {
		i.places = append(i.places, len(s.byPkg[t.pkg]))
		s.byPkg[t.pkg] = append(s.byPkg[t.pkg], i)
	}
}

// addEdge adds what versions of a package need. Versions with the same need are
// one incompatibility: "flask>=2 needs click>=8" is a shorter search and a
// better sentence than one for each version of flask.
func (s *store) addEdge(from term, d Dependency) {
	i := &incompat{terms: []term{from, {d.Package, d.Set, false}}, why: reason{kind: asks, dep: d}}
	if d.Package == from.pkg { // none of these versions will do
		i.terms = i.terms[:1]
		s.add(i)
		return
	}
	key := edge{from.pkg, d.Package, d.Text}
	old := s.edges[key]
	if old == nil || !old.terms[1].set.Equal(d.Set) {
		s.add(i)
		s.edges[key] = i
		return
	}
	// What was concluded from the old one stays as it is, so it isn't changed.
	i.terms[0].set = i.terms[0].set.Union(old.terms[0].set)
	i.places = old.places
	for n, t := range i.terms {
		s.byPkg[t.pkg][i.places[n]] = i
	}
	s.edges[key] = i
}
