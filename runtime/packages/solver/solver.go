package solver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"blast.example/blast/runtime/packages/pep440"
)

// maxRounds bounds a search that would not end in a person's lifetime.
const maxRounds = 200_000

// ErrGivenUp means that neither versions nor a proof were found in reasonable time.
var ErrGivenUp = errors.New("the search for versions was given up: the requirements leave too much open; pin some of them")

// Solve chooses versions for root's dependencies and theirs. Without a solution
// the error is a *ConflictError.
func Solve(ctx context.Context, root []Dependency, p Provider) (map[string]pep440.Version, error) {
	s := &search{
		p: p, store: newStore(), trail: trail{byPkg: map[string][]step{}}, catalog: catalog{p: p, pages: map[string]*page{}},
		decided: map[string]pep440.Version{}, looked: map[string]bool{},
	}
	s.begin(root)
	next := Root
	for round := 0; ; round++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if round == maxRounds {
			return nil, ErrGivenUp
		}
		if err := s.propagate(next); err != nil {
			return nil, err
		}
		pkg, ok, err := s.choose(ctx)
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

type search struct {
	p Provider
	store
	trail
	catalog catalog
	decided map[string]pep440.Version
	looked  map[string]bool // dependencies already taken in: "pkg version"
}

// begin states what the project asks for.
func (s *search) begin(root []Dependency) {
	s.add(&incompat{terms: []term{{Root, pep440.All(), false}}, why: reason{kind: rootReason}})
	for _, d := range root {
		i := &incompat{terms: []term{{Root, pep440.All(), true}, {d.Package, d.Set, false}}, why: reason{kind: asks, dep: d}}
		if d.Limit {
			i.terms[1], i.why.kind = term{d.Package, d.Set.Complement(), true}, limits
		}
		s.add(i)
	}
}

// propagate draws all conclusions from what changed.
func (s *search) propagate(pkg string) error {
	for changed := []string{pkg}; len(changed) > 0; {
		pkg := changed[0]
		changed = changed[1:]
		about := s.store.byPkg[pkg]
		for n := len(about) - 1; n >= 0; n-- {
			rel, open := s.relate(about[n])
			if rel == contradicted {
				continue
			}
			if rel == satisfied {
				learned, err := s.resolve(about[n])
				if err != nil {
					return err
				}
				_, open = s.relate(learned)
				s.learn(open.negate(), learned)
				changed = []string{open.pkg}
				break
			}
			s.learn(open.negate(), about[n])
			if !slices.Contains(changed, open.pkg) {
				changed = append(changed, open.pkg)
			}
		}
	}
	return nil
}

// resolve finds what a conflict really follows from, goes back to before it, and
// returns the incompatibility that now has one open term.
func (s *search) resolve(i *incompat) (*incompat, error) {
	changed := false
	for {
		if len(i.terms) == 0 || len(i.terms) == 1 && i.terms[0].pkg == Root && i.terms[0].pos {
			return nil, newConflict(i, s.catalog.versions)
		}
		at, t, back := s.satisfier(i)
		sat := s.list[at]
		if sat.cause == nil || back < sat.level {
			for _, pkg := range s.back(back) {
				delete(s.decided, pkg)
			}
			if changed {
				s.add(i)
			}
			return i, nil
		}
		i = combine(i, sat, t)
		changed = true
	}
}

// choose decides for a version of the package with the fewest left. It reports
// false when nothing is left to decide.
func (s *search) choose(ctx context.Context) (string, bool, error) {
	if _, ok := s.decided[Root]; !ok {
		s.pick(Root, pep440.Version{}, pep440.All())
		return Root, true, nil
	}
	best, least := "", 0
	for _, pkg := range s.open() {
		last, _ := s.known(pkg)
		n, err := s.catalog.count(ctx, pkg, last)
		if err != nil {
			return "", false, err
		}
		if best == "" || n < least {
			best, least = pkg, n
		}
	}
	if best == "" {
		return "", false, nil
	}
	return best, true, s.try(ctx, best)
}

// open are the packages that must be chosen and are not yet, in a fixed order.
// An extra waits for its project.
func (s *search) open() []string {
	var out []string
	for pkg, steps := range s.trail.byPkg {
		_, done := s.decided[pkg]
		if !done && steps[len(steps)-1].joined.pos && !s.waits(pkg) {
			out = append(out, pkg)
		}
	}
	slices.Sort(out)
	return out
}

func (s *search) waits(pkg string) bool {
	name := project(pkg)
	_, done := s.decided[name]
	last, asked := s.known(name)
	return name != pkg && asked && last.joined.pos && !done
}

// try takes the best candidate, unless what it needs rules it out at once.
func (s *search) try(ctx context.Context, pkg string) error {
	pg := s.catalog.pages[pkg]
	last, _ := s.known(pkg)
	if pg.missing != "" {
		s.add(&incompat{terms: []term{{pkg, pep440.All(), true}}, why: reason{kind: missing, text: pg.missing}})
		return nil
	}
	if s.tie(pkg) {
		return nil
	}
	c, ok := pg.best(last.joined.set)
	switch {
	case !ok:
		s.add(&incompat{terms: []term{{pkg, last.joined.set, true}}, why: reason{kind: noVersions}})
		return nil
	case c.Unusable != "":
		s.add(&incompat{terms: []term{{pkg, pg.alike(c), true}}, why: reason{kind: unusable, text: c.Unusable}})
		return nil
	}
	clash, err := s.look(ctx, pkg, pg, c)
	if err == nil && !clash {
		s.pick(pkg, c.Version, pep440.Exactly(c.Version))
	}
	return err
}

// tie holds an extra to the chosen version of its project. It reports whether
// that was news.
func (s *search) tie(pkg string) bool {
	name := project(pkg)
	v, done := s.decided[name]
	key := fmt.Sprintf("%s = %s", pkg, v)
	if name == pkg || !done || s.looked[key] {
		return false
	}
	s.looked[key] = true
	only := pep440.Exactly(v)
	s.add(&incompat{terms: []term{{name, only, true}, {pkg, only.Complement(), true}}, why: reason{kind: sameVersion}})
	return true
}

// look takes in what a version needs. It reports whether that is ruled out
// already: then propagation learns from it first.
func (s *search) look(ctx context.Context, pkg string, pg *page, c Candidate) (clash bool, err error) {
	key := pkg + " " + c.Version.String()
	if s.looked[key] {
		return false, nil
	}
	deps, err := s.p.Dependencies(ctx, pkg, c.Version)
	var no UnusableError
	if errors.As(err, &no) {
		s.add(&incompat{terms: []term{{pkg, pg.cell(c.Version), true}}, why: reason{kind: unusable, text: string(no)}})
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s.looked[key] = true
	for _, d := range deps {
		if d.Package == pkg && d.Set.Contains(c.Version) {
			continue // needs itself
		}
		s.addEdge(term{pkg, pg.cell(c.Version), true}, d)
		last, ok := s.known(d.Package)
		clash = clash || d.Package == pkg || ok && (term{d.Package, d.Set, false}).of(last.joined) == satisfied
	}
	return clash, nil
}

func (s *search) pick(pkg string, v pep440.Version, set pep440.Ranges) {
	s.decided[pkg] = v
	s.decide(term{pkg, set, true})
}
