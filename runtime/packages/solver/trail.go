package solver

// assignment is one thing that is known, in order.
type assignment struct {
	term
	level int
	cause *incompat // nil: a decision
}

// trail is everything that is known, and how it came about.
type trail struct {
	list   []assignment
	byPkg  map[string][]step
	level  int
	serial int
}

// step is all that was known about a package after an assignment.
type step struct {
	joined term
	at     int // in trail.list
	serial int // no other step has had it
}

// known is everything that is known about a package.
func (tr *trail) known(pkg string) (step, bool) {
	steps := tr.byPkg[pkg]
	if len(steps) == 0 {
		return step{}, false
	}
	return steps[len(steps)-1], true
}

func (tr *trail) learn(t term, cause *incompat) {
	joined := t
	if last, ok := tr.known(t.pkg); ok {
		joined = last.joined.and(t)
	}
	tr.serial++
	tr.byPkg[t.pkg] = append(tr.byPkg[t.pkg], step{joined, len(tr.list), tr.serial})
	tr.list = append(tr.list, assignment{t, tr.level, cause})
}

// decide is a choice, from which a new level of conclusions begins.
func (tr *trail) decide(t term) {
	tr.level++
	tr.learn(t, nil)
}

// back forgets all above a level, and returns the packages that are no longer
// decided.
func (tr *trail) back(level int) (undone []string) {
	for n := len(tr.list) - 1; n >= 0 && tr.list[n].level > level; n-- {
		a := tr.list[n]
		steps := tr.byPkg[a.pkg]
		if len(steps) == 1 {
			delete(tr.byPkg, a.pkg)
		} else {
			tr.byPkg[a.pkg] = steps[:len(steps)-1]
		}
		if a.cause == nil {
			undone = append(undone, a.pkg)
		}
		tr.list = tr.list[:n]
	}
	tr.level = level
	return undone
}

// relate finds how what is known stands to an incompatibility: all of it holds,
// all but one term does, or nothing follows.
func (tr *trail) relate(i *incompat) (rel relation, open term) {
	rel = satisfied
	for _, t := range i.terms {
		r := unclear
		if last, ok := tr.known(t.pkg); ok {
			r = t.of(last.joined)
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

// satisfier finds the first assignment by which i is satisfied, its term in i, and
// the level that the rest of i needs.
func (tr *trail) satisfier(i *incompat) (at int, t term, back int) {
	at = -1
	for _, it := range i.terms {
		n := tr.firstSatisfying(it, nil)
		if n > at {
			if at >= 0 {
				back = max(back, tr.list[at].level)
			}
			at, t = n, it
		} else {
			back = max(back, tr.list[n].level)
		}
	}
	// The satisfier alone may not be enough: then an earlier one helped.
	if sat := tr.list[at]; t.of(sat.term) != satisfied {
		if n := tr.firstSatisfying(t, &sat.term); n >= 0 && n != at {
			back = max(back, tr.list[n].level)
		}
	}
	return at, t, back
}

// firstSatisfying finds the assignment with which t holds, given one more term.
func (tr *trail) firstSatisfying(t term, more *term) int {
	for _, s := range tr.byPkg[t.pkg] {
		known := s.joined
		if more != nil {
			known = more.and(known)
		}
		if t.of(known) == satisfied {
			return s.at
		}
	}
	return -1
}
