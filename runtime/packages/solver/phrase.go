package solver

import (
	"cmp"
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// phrase says incompatibilities in words. It knows the versions that there are,
// to say sets of them as people do.
type phrase struct {
	versions func(pkg string) []pep440.Version
}

// sentence says what an incompatibility means.
func (p phrase) sentence(i *incompat) string {
	first := i.terms[0]
	switch i.why.kind {
	case asks:
		if first.pkg == Root {
			return fmt.Sprintf("%s asks for %s", cmp.Or(i.why.dep.Place, "the project"), i.why.dep.Text)
		}
		return fmt.Sprintf("%s needs %s", p.every(first), i.why.dep.Text)
	case limits:
		return fmt.Sprintf("%s allows only %s", cmp.Or(i.why.dep.Place, "a constraint"), i.why.dep.Text)
	case noVersions:
		if first.set.Equal(pep440.All()) {
			return fmt.Sprintf("there is no version of %s", first.pkg)
		}
		return fmt.Sprintf("there is no %s%s", asWritten(first), p.instead(first.pkg))
	case unusable:
		return fmt.Sprintf("%s can't be used (%s)", p.every(first), i.why.text)
	case missing:
		return fmt.Sprintf("there is no project %s (%s)", project(first.pkg), i.why.text)
	}
	return p.derived(i)
}

// derived says what follows, from the terms alone.
func (p phrase) derived(i *incompat) string {
	var pos, all, neg []string
	for _, t := range i.terms {
		switch {
		case t.pkg == Root:
		case t.pos:
			pos, all = append(pos, p.some(t)), append(all, p.every(t))
		default:
			neg = append(neg, p.some(t))
		}
	}
	switch {
	case len(pos) > 0 && len(neg) > 0:
		return fmt.Sprintf("%s needs %s", strings.Join(all, " with "), strings.Join(neg, " or "))
	case len(pos) > 1:
		return fmt.Sprintf("%s can't go together", list(pos))
	case len(pos) == 1:
		return cannot(pos[0], all[0] != pos[0])
	case len(neg) > 0:
		return fmt.Sprintf("%s is needed", strings.Join(neg, " or "))
	}
	return "no versions fit"
}

func cannot(what string, any bool) string {
	if any {
		return fmt.Sprintf("no version of %s can be used", what)
	}
	return fmt.Sprintf("%s can't be used", what)
}

// instead tells what versions there are.
func (p phrase) instead(pkg string) string {
	vs := p.versions(pkg)
	var names []string
	for _, v := range vs {
		names = append(names, v.String())
	}
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return fmt.Sprintf(" (there is only %s)", names[0])
	case n <= maxRuns:
		return fmt.Sprintf(" (there are %s)", list(names))
	default:
		return fmt.Sprintf(" (there are %d versions, %s to %s)", n, names[0], names[n-1])
	}
}

// every names all versions of a term that there are: "every version of flask",
// "flask>=2,<=3".
func (p phrase) every(t term) string {
	if text, all := p.known(t); !all {
		return text
	}
	if len(p.versions(t.pkg)) > 1 {
		return "every version of " + t.pkg
	}
	return t.pkg + "==" + p.versions(t.pkg)[0].String()
}

// some names any version of a term: "flask", "flask>=2,<=3".
func (p phrase) some(t term) string {
	text, _ := p.known(t)
	return text
}

// known says a set by the versions that there are; all, if those are all. What
// none of them is in is said as it is.
func (p phrase) known(t term) (text string, all bool) {
	vs := p.versions(t.pkg)
	runs := p.runs(t, vs)
	switch {
	case len(runs) == 0:
		return asWritten(t), false
	case len(runs) == 1 && runs[0] == [2]int{0, len(vs) - 1}:
		return t.pkg, true
	}
	var out []string
	for n, run := range runs {
		if n == maxRuns {
			out = append(out, fmt.Sprintf("%d more", len(runs)-n))
			break
		}
		out = append(out, t.pkg+interval(run, vs))
	}
	return strings.Join(out, " or "), false
}

// maxRuns is how many ranges of one package a sentence bears.
const maxRuns = 3

// runs are the neighbours in the set: first and last of each.
func (p phrase) runs(t term, vs []pep440.Version) (out [][2]int) {
	open := false
	for i, v := range vs {
		in := t.set.Contains(v)
		switch {
		case in && open:
			out[len(out)-1][1] = i
		case in:
			out = append(out, [2]int{i, i})
		}
		open = in
	}
	return out
}

func interval(run [2]int, vs []pep440.Version) string {
	lo, hi := vs[run[0]], vs[run[1]]
	switch {
	case run[0] == run[1]:
		return "==" + lo.String()
	case run[1] == len(vs)-1:
		return ">=" + lo.String()
	case run[0] == 0:
		return "<=" + hi.String()
	}
	return ">=" + lo.String() + ",<=" + hi.String()
}

// asWritten says the set by its edges: "flask>=9".
func asWritten(t term) string {
	text := t.set.String()
	if text == "any" {
		return t.pkg
	}
	return t.pkg + strings.ReplaceAll(text, "===", "==")
}
