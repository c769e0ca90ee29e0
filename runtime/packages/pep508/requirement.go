package pep508

import (
	"sort"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// Requirement is one project that is needed: which versions of it, or where
// from, with which extras, and under which condition.
type Requirement struct {
	Name       string            // as written; see Key
	Extras     []string          // as written, sorted, each once
	Specifiers pep440.Specifiers // none: any version
	URL        string            // instead of Specifiers
	Marker     *Marker           // nil: always
}

// Key returns the normalised name.
func (r Requirement) Key() string { return NormalizeName(r.Name) }

// HasMarker reports whether r depends on the environment.
func (r Requirement) HasMarker() bool { return r.Marker != nil }

// Applies reports whether r counts in env with these extras of the project
// that has the requirement. A marker that can't be evaluated is an error.
func (r Requirement) Applies(env Environment, extras ...string) (bool, error) {
	if r.Marker == nil {
		return true, nil
	}
	return r.Marker.Evaluate(env, extras...)
}

// String returns the requirement so that Parse reads the same one again.
func (r Requirement) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if len(r.Extras) > 0 {
		b.WriteString("[" + strings.Join(r.Extras, ",") + "]")
	}
	if r.URL != "" {
		b.WriteString(" @ " + r.URL)
		if r.Marker != nil {
			b.WriteByte(' ') // or ";" would belong to the URL
		}
	}
	b.WriteString(r.Specifiers.String())
	if r.Marker != nil {
		b.WriteString("; " + r.Marker.String())
	}
	return b.String()
}

// sortedOnce sorts extras and drops those that mean the same.
func sortedOnce(extras []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, e := range extras {
		if key := NormalizeName(e); !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	sort.Strings(out)
	return out
}
