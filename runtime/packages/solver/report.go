package solver

import (
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// A ConflictError is the proof that no versions fit.
type ConflictError struct {
	// Asked is what the project asks for that takes part, in the order of the
	// proof. Without one of these there might be a solution.
	Asked []Dependency

	lines []string
}

// Error tells the proof, one step a line.
func (c *ConflictError) Error() string { return strings.Join(c.lines, "\n") }

// maxSteps bounds a proof that is told: nobody reads on.
const maxSteps = 40

// maxAtOnce is how many facts one sentence bears: a proof from so few is told
// without the steps between.
const maxAtOnce = 3

func newConflict(i *incompat, versions func(pkg string) []pep440.Version) *ConflictError {
	r := &report{phrase: phrase{versions}, numbers: map[*incompat]int{}, uses: map[*incompat]int{}, told: map[string]bool{}}
	r.count(i)
	if len(r.premises) <= maxAtOnce {
		r.say(r.inOrder(), i, true)
	} else {
		r.explain(i, true)
	}
	if n := len(r.lines); n > maxSteps {
		left := fmt.Sprintf("(%d steps are left out.)", n-maxSteps)
		r.lines = slices.Concat(r.lines[:maxSteps/2], []string{left}, r.lines[n-maxSteps/2:])
	}
	return &ConflictError{r.asked, r.lines}
}

// report tells the derivation in sentences. A step that is needed again later
// gets a number.
type report struct {
	phrase
	lines    []string
	asked    []Dependency
	told     map[string]bool
	premises []*incompat // everything that the proof stands on
	numbers  map[*incompat]int
	uses     map[*incompat]int
}

// count finds which steps are used more than once, and what the proof stands on.
func (r *report) count(i *incompat) {
	if r.uses[i]++; r.uses[i] > 1 {
		return
	}
	if i.why.kind == conflict {
		r.count(i.why.from)
		r.count(i.why.by)
		return
	}
	if facts := r.facts(i); len(facts) > 0 && !r.told[facts[0]] {
		r.told[facts[0]] = true
		r.premises = append(r.premises, i)
	}
	same := func(d Dependency) bool { return d.Text == i.why.dep.Text && d.Place == i.why.dep.Place }
	if (i.why.kind == asks || i.why.kind == limits) && i.terms[0].pkg == Root && !slices.ContainsFunc(r.asked, same) {
		r.asked = append(r.asked, i.why.dep)
	}
}

// inOrder tells the premises as a story: what the project asks for, then what
// that needs.
func (r *report) inOrder() (out []string) {
	done := map[*incompat]bool{}
	var tell func(i *incompat)
	about := func(pkg string) {
		for _, i := range r.premises {
			if i.terms[0].pkg == pkg {
				tell(i)
			}
		}
	}
	tell = func(i *incompat) {
		if done[i] {
			return
		}
		done[i] = true
		out = append(out, r.sentence(i))
		if i.why.kind == asks {
			about(i.why.dep.Package)
		}
	}
	followed := func(i *incompat) bool {
		return slices.ContainsFunc(r.premises, func(j *incompat) bool { return j.terms[0].pkg == i.why.dep.Package })
	}
	for _, i := range r.premises {
		if i.terms[0].pkg == Root && i.why.kind == asks && followed(i) {
			tell(i)
		}
	}
	about(Root)
	for _, i := range r.premises {
		tell(i)
	}
	return out
}

// explain tells how i comes about, its causes first.
func (r *report) explain(i *incompat, last bool) {
	if i.why.kind != conflict {
		r.say(r.facts(i), i, last)
		return
	}
	a, b := i.why.from, i.why.by
	if a.why.kind != conflict {
		a, b = b, a // what is derived comes first
	}
	switch {
	case a.why.kind != conflict:
		r.say(append(r.facts(a), r.facts(b)...), i, last)
	case b.why.kind != conflict:
		r.fromOne(a, r.facts(b), i, last)
	case r.numbers[a] > 0 && r.numbers[b] > 0:
		r.say(append(r.facts(a), r.facts(b)...), i, last)
	case r.numbers[a] > 0:
		r.fromOne(b, r.facts(a), i, last)
	case r.numbers[b] > 0:
		r.fromOne(a, r.facts(b), i, last)
	default:
		if r.leaf(a) && !r.leaf(b) {
			a, b = b, a // the short one next to its use
		}
		r.explain(a, false)
		r.number(a)
		r.fromOne(b, r.facts(a), i, last)
	}
}

// fromOne tells i, which follows from a derived step and more facts.
func (r *report) fromOne(a *incompat, facts []string, i *incompat, last bool) {
	if r.numbers[a] > 0 {
		r.say(append(r.facts(a), facts...), i, last)
		return
	}
	if inner, more, ok := r.collapse(a); ok {
		r.explain(inner, false)
		r.follow(append(more, facts...), i, last)
		return
	}
	r.explain(a, false)
	if r.uses[a] > 1 {
		r.number(a)
	}
	r.follow(facts, i, last)
}

// collapse takes a step that is derived from one derived step and facts, and is
// needed only once: it need not be said on its own.
func (r *report) collapse(a *incompat) (inner *incompat, facts []string, ok bool) {
	inner, b := a.why.from, a.why.by
	if inner.why.kind != conflict {
		inner, b = b, inner
	}
	if r.uses[a] > 1 || inner.why.kind != conflict || b.why.kind == conflict || r.numbers[inner] > 0 {
		return nil, nil, false
	}
	return inner, r.facts(b), true
}

// leaf reports whether a step follows from facts alone.
func (r *report) leaf(i *incompat) bool {
	return i.why.kind == conflict && i.why.from.why.kind != conflict && i.why.by.why.kind != conflict
}

func (r *report) number(i *incompat) {
	if r.numbers[i] == 0 && len(r.lines) > 0 {
		r.numbers[i] = len(r.numbers) + 1
		r.lines[len(r.lines)-1] += fmt.Sprintf(" (%d)", r.numbers[i])
	}
}

// facts is what can be said of i without telling how it comes about. What goes
// without saying is left out.
func (r *report) facts(i *incompat) []string {
	switch {
	case i.why.kind == rootReason || i.why.kind == sameVersion:
		return nil
	case r.numbers[i] > 0:
		return []string{fmt.Sprintf("%s (%d)", r.sentence(i), r.numbers[i])}
	}
	return []string{r.sentence(i)}
}

// say begins a line of thought.
func (r *report) say(facts []string, i *incompat, last bool) {
	r.line("Because ", facts, i, last)
}

// follow goes on from the line before.
func (r *report) follow(facts []string, i *incompat, last bool) {
	r.line("And because ", facts, i, last)
}

func (r *report) line(begin string, facts []string, i *incompat, last bool) {
	then := r.sentence(i)
	if last {
		then = "no versions fit"
	}
	facts = slices.Compact(facts)
	if len(facts) == 0 {
		r.lines = append(r.lines, "So "+then+".")
		return
	}
	if len(facts) == 1 && facts[0] == then {
		r.lines = append(r.lines, strings.ToUpper(then[:1])+then[1:]+".")
		return
	}
	r.lines = append(r.lines, begin+list(facts)+", "+then+".")
}

// list is "a, b and c".
func list(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	n := len(parts) - 1
	return strings.Join(parts[:n], ", ") + " and " + parts[n]
}
