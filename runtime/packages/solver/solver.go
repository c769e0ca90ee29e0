// Package solver chooses one version of each project so that every requirement
// holds, or proves that there is none and says why. It is PubGrub: what was
// learned from a conflict is kept as an incompatibility, so no dead end is
// entered twice, and the chain of incompatibilities is the explanation.
//
// Source: https://github.com/dart-lang/pub/blob/master/doc/solver.md
package solver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// Root is the package that stands for the project itself.
const Root = ""

// A Dependency asks for a package within a set of versions.
type Dependency struct {
	Package string // "flask", or "flask[async]" for an extra
	Set     pep440.Ranges
	Text    string // as written: "flask >= 3"
	Place   string // requirements.txt:1; "" if another project asks
}

// A Candidate is one version that could be chosen. One that can't be used says why.
type Candidate struct {
	Version  pep440.Version
	Unusable string // "needs Python >=3.12"
}

// A Provider knows the packages. Its methods may reach out to an index.
type Provider interface {
	// Candidates returns all versions, the best first.
	Candidates(ctx context.Context, pkg string) ([]Candidate, error)
	// Dependencies returns what one version needs. An Unusable error makes the
	// version unusable; any other ends the search.
	Dependencies(ctx context.Context, pkg string, v pep440.Version) ([]Dependency, error)
}

// Unusable is why a version can't be chosen, found out only by looking into it.
type Unusable string

func (u Unusable) Error() string { return string(u) }

// maxRounds bounds a search that would not end in a person's lifetime.
const maxRounds = 200_000

// Solve chooses versions for root's dependencies and theirs. Without a solution
// the error is a *Conflict.
func Solve(ctx context.Context, root []Dependency, p Provider) (map[string]pep440.Version, error) {
	s := &solver{ctx: ctx, p: p, byPkg: map[string][]*incompat{}, acc: map[string]term{}, decided: map[string]pep440.Version{}, seen: map[string]bool{}}
	s.add(&incompat{terms: []term{{pkg: Root, set: pep440.All(), pos: false}}, why: reason{kind: rootReason}})
	for _, d := range root {
		s.add(&incompat{terms: []term{{pkg: Root, set: pep440.All(), pos: true}, {pkg: d.Package, set: d.Set, pos: false}}, why: reason{kind: asks, dep: d}})
	}
	next := Root
	for round := 0; ; round++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if round == maxRounds {
			return nil, errors.New("the search for versions was given up: the requirements are too loose; pin some of them")
		}
		if err := s.propagate(next); err != nil {
			return nil, err
		}
		pkg, ok, err := s.choose()
		if err != nil {
			return nil, err
		}
		if !ok {
			delete(s.decided, Root)
			return s.decided, nil
		}
		next = pkg
	}
}

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

// incompat is a set of terms that can't all hold.
type incompat struct {
	terms []term // at most one per package
	why   reason
}

type reasonKind int

const (
	rootReason reasonKind = iota
	asks                  // a dependency
	noVersions            // nothing in the set
	unusable              // a version that can't be used
	conflict              // follows from two others
)

type reason struct {
	kind     reasonKind
	dep      Dependency
	text     string
	from, by *incompat
}

// assignment is one thing that is known, in order.
type assignment struct {
	term
	level int
	cause *incompat // nil: a decision
}

type solver struct {
	ctx     context.Context
	p       Provider
	byPkg   map[string][]*incompat
	trail   []assignment
	acc     map[string]term // everything known about a package, joined
	decided map[string]pep440.Version
	level   int
	seen    map[string]bool // dependencies already taken in: "pkg version"
}

func (s *solver) add(i *incompat) {
	for _, t := range i.terms {
		s.byPkg[t.pkg] = append(s.byPkg[t.pkg], i)
	}
}

func (s *solver) learn(a assignment) {
	s.trail = append(s.trail, a)
	if known, ok := s.acc[a.pkg]; ok {
		s.acc[a.pkg] = known.and(a.term)
	} else {
		s.acc[a.pkg] = a.term
	}
}

// relate finds how what is known stands to an incompatibility: all of it holds,
// all but one term does, or neither.
func (s *solver) relate(i *incompat) (rel relation, open term) {
	rel = satisfied
	for _, t := range i.terms {
		r := unclear
		if known, ok := s.acc[t.pkg]; ok {
			r = t.of(known)
		}
		switch {
		case r == contradicted:
			return contradicted, term{}
		case r == satisfied:
		case rel == satisfied:
			rel, open = unclear, t
		default:
			return contradicted, term{} // two are open: nothing follows
		}
	}
	return rel, open
}

// propagate draws all conclusions from what changed.
func (s *solver) propagate(pkg string) error {
	changed := []string{pkg}
	for len(changed) > 0 {
		pkg := changed[0]
		changed = changed[1:]
		for n := len(s.byPkg[pkg]) - 1; n >= 0; n-- {
			i := s.byPkg[pkg][n]
			rel, open := s.relate(i)
			if rel == contradicted {
				continue
			}
			if rel == satisfied {
				learned, err := s.resolve(i)
				if err != nil {
					return err
				}
				_, open = s.relate(learned)
				s.learn(assignment{open.negate(), s.level, learned})
				changed = []string{open.pkg}
				break
			}
			s.learn(assignment{open.negate(), s.level, i})
			if !slices.Contains(changed, open.pkg) {
				changed = append(changed, open.pkg)
			}
		}
	}
	return nil
}

// resolve finds what a conflict really follows from, goes back to before it, and
// returns the incompatibility that now has one open term.
func (s *solver) resolve(i *incompat) (*incompat, error) {
	changed := false
	for {
		if len(i.terms) == 0 || len(i.terms) == 1 && i.terms[0].pkg == Root && i.terms[0].pos {
			return nil, newConflict(i)
		}
		at, t, back := s.satisfier(i)
		sat := s.trail[at]
		if sat.cause == nil || back < sat.level {
			s.backtrack(back)
			if changed {
				s.add(i)
			}
			return i, nil
		}
		i = combine(i, sat, t)
		changed = true
	}
}

// satisfier finds the first assignment by which i is satisfied, its term in i, and
// the level that the rest of i needs.
func (s *solver) satisfier(i *incompat) (at int, t term, back int) {
	at = -1
	for _, it := range i.terms {
		n := s.firstSatisfying(it, nil)
		if n > at {
			if at >= 0 {
				back = max(back, s.trail[at].level)
			}
			at, t = n, it
		} else {
			back = max(back, s.trail[n].level)
		}
	}
	// The satisfier alone may not be enough: then an earlier one helped.
	sat := s.trail[at]
	if t.of(sat.term) != satisfied {
		n := s.firstSatisfying(t, &sat.term)
		if n >= 0 && n != at {
			back = max(back, s.trail[n].level)
		}
	}
	return at, t, back
}

// firstSatisfying finds the assignment with which t holds, given one more term.
func (s *solver) firstSatisfying(t term, more *term) int {
	var known *term
	if more != nil {
		k := *more
		known = &k
	}
	for n, a := range s.trail {
		if a.pkg != t.pkg {
			continue
		}
		k := a.term
		if known != nil {
			k = known.and(a.term)
		}
		known = &k
		if t.of(*known) == satisfied {
			return n
		}
	}
	return -1
}

// combine resolves i with the cause of its satisfier, which then drops out.
func combine(i *incompat, sat assignment, t term) *incompat {
	out := &incompat{why: reason{kind: conflict, from: i, by: sat.cause}}
	for _, it := range slices.Concat(i.terms, sat.cause.terms) {
		if it.pkg == sat.pkg {
			continue
		}
		out.put(it)
	}
	if t.of(sat.term) != satisfied {
		// t minus what the satisfier says, turned round.
		out.put(sat.term.and(t.negate()).negate())
	}
	return out
}

func (i *incompat) put(t term) {
	for n := range i.terms {
		if i.terms[n].pkg == t.pkg {
			i.terms[n] = i.terms[n].and(t)
			return
		}
	}
	i.terms = append(i.terms, t)
}

func (s *solver) backtrack(level int) {
	n := slices.IndexFunc(s.trail, func(a assignment) bool { return a.level > level })
	if n < 0 {
		return
	}
	dropped := s.trail[n:]
	s.trail = s.trail[:n]
	s.level = level
	for _, a := range dropped {
		delete(s.acc, a.pkg)
		if a.cause == nil {
			delete(s.decided, a.pkg)
		}
	}
	for _, a := range s.trail {
		if _, ok := s.acc[a.pkg]; ok && !slices.ContainsFunc(dropped, func(d assignment) bool { return d.pkg == a.pkg }) {
			continue
		}
		if known, ok := s.acc[a.pkg]; ok {
			s.acc[a.pkg] = known.and(a.term)
		} else {
			s.acc[a.pkg] = a.term
		}
	}
}

// choose decides for a version of the package with the fewest left. It reports
// false when nothing is left to decide.
func (s *solver) choose() (string, bool, error) {
	if _, ok := s.decided[Root]; !ok {
		s.decide(Root, pep440.Version{}, pep440.All())
		return Root, true, nil
	}
	best, bestFits := "", []Candidate(nil)
	for _, pkg := range s.open() {
		all, err := s.p.Candidates(s.ctx, pkg)
		if err != nil {
			return "", false, err
		}
		fits := slices.DeleteFunc(slices.Clone(all), func(c Candidate) bool { return !s.acc[pkg].set.Contains(c.Version) })
		if best == "" || len(fits) < len(bestFits) {
			best, bestFits = pkg, fits
		}
	}
	if best == "" {
		return "", false, nil
	}
	return best, true, s.try(best, bestFits)
}

// open are the packages that must be chosen and are not yet, in a fixed order.
func (s *solver) open() []string {
	var out []string
	for pkg, t := range s.acc {
		if _, done := s.decided[pkg]; t.pos && !done {
			out = append(out, pkg)
		}
	}
	slices.Sort(out)
	return out
}

// try takes the best candidate, unless what it needs rules it out at once.
func (s *solver) try(pkg string, fits []Candidate) error {
	if len(fits) == 0 {
		s.add(&incompat{terms: []term{{pkg, s.acc[pkg].set, true}}, why: reason{kind: noVersions}})
		return nil
	}
	i := slices.IndexFunc(fits, func(c Candidate) bool { return c.Unusable == "" })
	if i < 0 {
		i = 0
	}
	c := fits[i]
	exact := pep440.Exactly(c.Version)
	if c.Unusable != "" {
		s.add(&incompat{terms: []term{{pkg, exact, true}}, why: reason{kind: unusable, text: c.Unusable}})
		return nil
	}
	key := pkg + " " + c.Version.String()
	clash := false
	if !s.seen[key] {
		deps, err := s.p.Dependencies(s.ctx, pkg, c.Version)
		var no Unusable
		if errors.As(err, &no) {
			s.add(&incompat{terms: []term{{pkg, exact, true}}, why: reason{kind: unusable, text: string(no)}})
			return nil
		}
		if err != nil {
			return err
		}
		s.seen[key] = true
		for _, d := range deps {
			inc := &incompat{terms: []term{{pkg, exact, true}, {d.Package, d.Set, false}}, why: reason{kind: asks, dep: d}}
			if d.Package == pkg {
				if d.Set.Contains(c.Version) {
					continue
				}
				inc.terms = inc.terms[:1]
			}
			s.add(inc)
			if known, ok := s.acc[d.Package]; ok && (term{d.Package, d.Set, false}).of(known) == satisfied {
				clash = true // let propagation learn from it first
			}
		}
	}
	if !clash {
		s.decide(pkg, c.Version, exact)
	}
	return nil
}

func (s *solver) decide(pkg string, v pep440.Version, set pep440.Ranges) {
	s.level++
	s.decided[pkg] = v
	s.learn(assignment{term{pkg, set, true}, s.level, nil})
}

// A Conflict is the proof that no versions fit.
type Conflict struct{ lines []string }

func (c *Conflict) Error() string { return strings.Join(c.lines, "\n") }

func newConflict(i *incompat) *Conflict {
	r := &report{numbers: map[*incompat]int{}, uses: map[*incompat]int{}}
	r.count(i)
	r.explain(i, true)
	return &Conflict{r.lines}
}

// report tells the derivation in sentences. A step that is used twice gets a
// number.
type report struct {
	lines   []string
	numbers map[*incompat]int
	uses    map[*incompat]int
}

func (r *report) count(i *incompat) {
	if r.uses[i]++; r.uses[i] > 1 || i.why.kind != conflict {
		return
	}
	r.count(i.why.from)
	r.count(i.why.by)
}

func (r *report) explain(i *incompat, last bool) {
	if i.why.kind != conflict {
		r.lines = append(r.lines, sentence(i)+".")
		return
	}
	a, b := i.why.from, i.why.by
	if a.why.kind != conflict {
		a, b = b, a
	}
	var given []string
	for _, c := range []*incompat{a, b} {
		switch {
		case c.why.kind == rootReason:
		case c.why.kind != conflict:
			given = append(given, sentence(c))
		case r.numbers[c] > 0:
			given = append(given, fmt.Sprintf("%s (%d)", sentence(c), r.numbers[c]))
		default:
			r.explain(c, false)
			if r.uses[c] > 1 {
				r.numbers[c] = len(r.numbers) + 1
				r.lines[len(r.lines)-1] += fmt.Sprintf(" (%d)", r.numbers[c])
			}
		}
	}
	text := conclusion(i, last)
	if len(given) > 0 {
		text = "Because " + strings.Join(given, " and ") + ", " + text
	} else {
		text = "So " + text
	}
	r.lines = append(r.lines, text+".")
}

func conclusion(i *incompat, last bool) string {
	if last || len(i.terms) == 0 {
		return "these requirements can't be met together"
	}
	return sentence(i)
}

// sentence says what an incompatibility means.
func sentence(i *incompat) string {
	switch i.why.kind {
	case asks:
		who := name(i.terms[0])
		if i.terms[0].pkg == Root {
			who = "the project"
			if i.why.dep.Place != "" {
				who = i.why.dep.Place
			}
			return fmt.Sprintf("%s asks for %s", who, i.why.dep.Text)
		}
		return fmt.Sprintf("%s needs %s", who, i.why.dep.Text)
	case noVersions:
		return fmt.Sprintf("there is no version of %s", name(i.terms[0]))
	case unusable:
		return fmt.Sprintf("%s can't be used (%s)", name(i.terms[0]), i.why.text)
	}
	var pos, neg []string
	for _, t := range i.terms {
		switch {
		case t.pkg == Root:
		case t.pos:
			pos = append(pos, name(t))
		default:
			neg = append(neg, name(t))
		}
	}
	switch {
	case len(pos) > 0 && len(neg) > 0:
		return fmt.Sprintf("%s needs %s", strings.Join(pos, " with "), strings.Join(neg, " or "))
	case len(pos) > 1:
		return fmt.Sprintf("%s can't go together", strings.Join(pos, " and "))
	case len(pos) == 1:
		return fmt.Sprintf("%s can't be used", pos[0])
	case len(neg) > 0:
		return fmt.Sprintf("%s is needed", strings.Join(neg, " or "))
	}
	return "these requirements can't be met together"
}

func name(t term) string {
	text := t.set.String()
	if t.set.Equal(pep440.All()) {
		return t.pkg
	}
	return t.pkg + " " + text
}
