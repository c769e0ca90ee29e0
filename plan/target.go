package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Only returns p with nothing but the steps of these addresses, and what these
// need: what they stand on, and what stands on what they replace or delete. A
// kind's name means all its objects. What is left out stays recorded as it was.
func (p Plan) Only(targets []string, recorded []Object) (Plan, error) {
	if err := p.known(targets, recorded, "--target"); err != nil {
		return Plan{}, err
	}
	g := p.graph(recorded)
	in := map[string]bool{}
	var take func(addr string)
	take = func(addr string) {
		if in[addr] {
			return
		}
		in[addr] = true
		if s, changes := g.steps[addr]; !changes || s.To != nil { // what goes needs nothing
			for _, n := range g.needs[addr] {
				if _, changes := g.steps[n]; changes {
					take(n)
				}
			}
		}
		if g.goes(addr) {
			for _, d := range g.neededBy[addr] {
				take(d)
			}
		}
	}
	for addr := range g.steps {
		if matches(targets, addr) {
			take(addr)
		}
	}
	return p.without(recorded, func(addr string) bool { return !in[addr] }), nil
}

// Except returns p without the steps of these addresses, and of what can't be done
// without them: what stands on something that is then not made, and what goes
// under something that then stays.
func (p Plan) Except(excluded []string, recorded []Object) (Plan, error) {
	if err := p.known(excluded, recorded, "--exclude"); err != nil {
		return Plan{}, err
	}
	g := p.graph(recorded)
	out := map[string]bool{}
	var drop func(addr string)
	drop = func(addr string) {
		if out[addr] {
			return
		}
		out[addr] = true
		if s, changes := g.steps[addr]; changes && s.From == nil {
			for _, d := range g.neededBy[addr] {
				drop(d)
			}
		}
		for _, n := range g.needs[addr] {
			if g.goes(n) {
				drop(n)
			}
		}
	}
	for _, addr := range g.all {
		if matches(excluded, addr) {
			drop(addr)
		}
	}
	return p.without(recorded, func(addr string) bool { return out[addr] }), nil
}

// Within narrows the plan to its scope.
func (p Plan) Within(recorded []Object) (_ Plan, err error) {
	if len(p.Scope.Targets) > 0 {
		if p, err = p.Only(p.Scope.Targets, recorded); err != nil {
			return p, err
		}
	}
	if len(p.Scope.Excluded) > 0 {
		p, err = p.Except(p.Scope.Excluded, recorded)
	}
	return p, err
}

// Part is what is recorded when only the first n steps were made.
func (p Plan) Part(n int, recorded []Object) []Object {
	left := map[string]bool{}
	for _, s := range p.Steps[n:] {
		left[s.Addr] = true
	}
	return p.without(recorded, func(addr string) bool { return left[addr] }).Desired
}

// graph is who needs whom, and what happens to each.
type graph struct {
	all      []string
	steps    map[string]Step
	needs    map[string][]string
	neededBy map[string][]string
}

func (p Plan) graph(recorded []Object) graph {
	g := graph{steps: map[string]Step{}, needs: map[string][]string{}, neededBy: map[string][]string{}}
	for _, s := range p.Steps {
		g.steps[s.Addr] = s
	}
	for _, o := range slices.Concat(p.Desired, recorded) {
		if _, seen := g.needs[o.Addr]; seen {
			continue
		}
		g.all = append(g.all, o.Addr)
		g.needs[o.Addr] = o.Needs
		for _, n := range o.Needs {
			g.neededBy[n] = append(g.neededBy[n], o.Addr)
		}
	}
	return g
}

// goes reports whether the object that is there goes away.
func (g graph) goes(addr string) bool {
	s, changes := g.steps[addr]
	return changes && (s.To == nil || s.Action == Replace)
}

// without leaves out steps, and keeps the records of what they would have changed.
func (p Plan) without(recorded []Object, out func(addr string) bool) Plan {
	q := p
	q.Steps = slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return out(s.Addr) })
	left := map[string]bool{}
	for _, s := range p.Steps {
		if out(s.Addr) {
			left[s.Addr] = true
		}
	}
	was := map[string]Object{}
	for _, o := range recorded {
		was[o.Addr] = o
	}
	q.Desired = nil
	for _, o := range p.Desired {
		old, known := was[o.Addr]
		switch {
		case !left[o.Addr]:
			q.Desired = append(q.Desired, o)
		case known:
			q.Desired = append(q.Desired, old)
		}
		delete(was, o.Addr)
	}
	for _, o := range recorded { // deletions that are left out
		if _, still := was[o.Addr]; still && left[o.Addr] {
			q.Desired = append(q.Desired, o)
		}
	}
	q.Recorded = !alike(index(q.Desired), index(recorded))
	return q
}

// known refuses an address that is nowhere: it would be a mistake that leaves out
// everything, or nothing.
func (p Plan) known(addrs []string, recorded []Object, flag string) error {
	var all []string
	for _, o := range slices.Concat(p.Desired, recorded) {
		all = append(all, o.Addr)
	}
	for _, s := range p.Steps {
		all = append(all, s.Addr)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, a := range addrs {
		if !slices.ContainsFunc(all, func(have string) bool { return matches([]string{a}, have) }) {
			return fmt.Errorf("%s %s: no such object; objects are applied as one, and there are: %s", flag, a, strings.Join(all, ", "))
		}
	}
	return nil
}

// matches reports whether an address is one of these, or of a kind that is.
func matches(addrs []string, addr string) bool {
	return slices.ContainsFunc(addrs, func(a string) bool { return a == addr || a == kindOf(addr) })
}
