package solver

import "blast.example/blast/runtime/packages/pep440"

// term says that a package's version lies in a set (pos), or that it doesn't or
// the package isn't chosen at all.
type term struct {
	pkg string
	set pep440.Ranges
	pos bool
}

func (t term) negate() term { t.pos = !t.pos; return t }

// and joins two terms about one package.
func (t term) and(o term) term {
	switch {
	case t.pos && o.pos:
		t.set = t.set.Intersect(o.set)
	case t.pos:
		t.set = t.set.Intersect(o.set.Complement())
	case o.pos:
		return o.and(t)
	default:
		t.set = t.set.Union(o.set)
	}
	return t
}

type relation int

const (
	unclear relation = iota
	satisfied
	contradicted
)

// of is the relation of what is known to a term.
func (t term) of(known term) relation {
	switch {
	case known.pos && t.pos:
		if known.set.IsSubset(t.set) {
			return satisfied
		}
		if known.set.IsDisjoint(t.set) {
			return contradicted
		}
	case known.pos:
		if known.set.IsDisjoint(t.set) {
			return satisfied
		}
		if known.set.IsSubset(t.set) {
			return contradicted
		}
	case t.pos:
		if t.set.IsSubset(known.set) {
			return contradicted
		}
	default:
		if t.set.IsSubset(known.set) {
			return satisfied
		}
	}
	return unclear
}
