package pep440

import "strings"

// Ranges is a set of versions as intervals: sorted, apart, none empty. The zero
// value is the empty set.
//
// Every specifier is a set of this kind, except "===" with a text that only a
// string comparison can match: Ranges then holds the versions that are equal to
// the text, which can be more than Contains accepts (1.0.0 for "===1.0").
type Ranges struct{ intervals []interval }

// interval holds the versions between two edges; lo is below hi.
type interval struct{ lo, hi cut }

// All is the set of all versions.
func All() Ranges { return span(cut{}, cut{kind: top}) }

func span(lo, hi cut) Ranges {
	if lo.compare(hi) >= 0 {
		return Ranges{}
	}
	return Ranges{[]interval{{lo, hi}}}
}

// Exactly is the set of one version, without other local builds of it.
func Exactly(v Version) Ranges {
	if len(v.local) > 0 {
		return span(cut{v, before}, cut{v, after})
	}
	return span(beforeVersion(v), cut{v, after})
}

// Ranges returns the versions that satisfy every clause.
func (ss Specifiers) Ranges() Ranges {
	out := All()
	for _, s := range ss {
		out = out.Intersect(s.Ranges())
	}
	return out
}

// Ranges returns the versions that satisfy the clause.
func (s Specifier) Ranges() Ranges {
	v, end := s.Version, cut{kind: top}
	switch s.Op {
	case Equal:
		return s.equalRange()
	case NotEqual:
		return s.equalRange().Complement()
	case Compatible:
		_, hi := prefixEdges(v, len(v.release)-1)
		return span(beforeVersion(v), hi)
	case LessOrEqual:
		return span(cut{}, afterBuilds(v))
	case GreaterOrEqual:
		return span(beforeVersion(v), end)
	case Less:
		return span(cut{}, beforeVersion(v.earliest()))
	case Greater:
		return span(aboveVersion(v), end)
	case Arbitrary:
		if !v.IsZero() {
			return Exactly(v)
		}
	}
	return Ranges{}
}

func (s Specifier) equalRange() Ranges {
	v := s.Version
	switch {
	case s.Prefix:
		return span(prefixEdges(v, len(v.release)))
	case len(v.local) > 0:
		return Exactly(v)
	}
	return span(beforeVersion(v), afterBuilds(v))
}

// IsEmpty reports whether no version is in r.
func (r Ranges) IsEmpty() bool { return len(r.intervals) == 0 }

// Contains reports whether v is in r.
func (r Ranges) Contains(v Version) bool {
	lo := beforeVersion(v)
	for _, in := range r.intervals {
		if in.lo.compare(lo) <= 0 && lo.compare(in.hi) < 0 {
			return true
		}
	}
	return false
}

// Complement returns the versions that are not in r.
func (r Ranges) Complement() Ranges {
	var out []interval
	lo := cut{}
	for _, in := range r.intervals {
		if lo.compare(in.lo) < 0 {
			out = append(out, interval{lo, in.lo})
		}
		lo = in.hi
	}
	if lo.kind != top {
		out = append(out, interval{lo, cut{kind: top}})
	}
	return Ranges{out}
}

// Intersect returns the versions that are in both.
func (r Ranges) Intersect(o Ranges) Ranges {
	var out []interval
	for i, j := 0, 0; i < len(r.intervals) && j < len(o.intervals); {
		a, b := r.intervals[i], o.intervals[j]
		lo, hi := a.lo, a.hi
		if b.lo.compare(lo) > 0 {
			lo = b.lo
		}
		if b.hi.compare(hi) < 0 {
			hi = b.hi
			j++
		} else {
			i++
		}
		if lo.compare(hi) < 0 {
			out = append(out, interval{lo, hi})
		}
	}
	return Ranges{out}
}

// Union returns the versions that are in either.
func (r Ranges) Union(o Ranges) Ranges {
	return r.Complement().Intersect(o.Complement()).Complement()
}

// Equal reports whether both are the same set.
func (r Ranges) Equal(o Ranges) bool {
	if len(r.intervals) != len(o.intervals) {
		return false
	}
	for i, in := range r.intervals {
		if in.lo.compare(o.intervals[i].lo) != 0 || in.hi.compare(o.intervals[i].hi) != 0 {
			return false
		}
	}
	return true
}

// IsSubset reports whether o has every version of r.
func (r Ranges) IsSubset(o Ranges) bool { return r.Intersect(o.Complement()).IsEmpty() }

// IsDisjoint reports whether r and o have no version in common.
func (r Ranges) IsDisjoint(o Ranges) bool { return r.Intersect(o).IsEmpty() }

// String returns the intervals for a person: ">=1.0,<2.0 || >=3.0". The empty
// set is "none", the full set "any".
func (r Ranges) String() string {
	if r.IsEmpty() {
		return "none"
	}
	out := make([]string, len(r.intervals))
	for i, in := range r.intervals {
		out[i] = in.String()
	}
	return strings.Join(out, " || ")
}

func (in interval) String() string {
	if in.hi.kind == after && in.lo.kind == before && in.lo.v.Equal(in.hi.v) {
		return "===" + in.lo.v.String()
	}
	var parts []string
	switch in.lo.kind {
	case before:
		parts = append(parts, ">="+in.lo.v.String())
	case after, afterPosts:
		parts = append(parts, ">"+in.lo.v.String())
	}
	switch in.hi.kind {
	case before:
		parts = append(parts, "<"+in.hi.v.String())
	case after:
		parts = append(parts, "<="+in.hi.v.String())
	case afterPosts:
		parts = append(parts, "<="+in.hi.v.String()+".post*")
	}
	if len(parts) == 0 {
		return "any"
	}
	return strings.Join(parts, ",")
}

// Unsatisfiable reports whether no version at all can satisfy the clauses, as
// in ">=2,<1".
func (ss Specifiers) Unsatisfiable() bool {
	text, literal := "", false
	for _, s := range ss {
		if s.Op != Arbitrary {
			continue
		}
		if literal && !strings.EqualFold(text, s.Text) {
			return true
		}
		text, literal = s.Text, true
	}
	if !literal {
		return ss.Ranges().IsEmpty()
	}
	v, err := Parse(text)
	if err != nil { // only "===" can match what is no version
		for _, s := range ss {
			if s.Op != Arbitrary {
				return true
			}
		}
		return false
	}
	return !ss.Contains(v)
}
