package resolve_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/testfixtures/pypi/packse"
)

const sdist = "only a source distribution would do, and Blast installs wheels"

// elsewhere are the scenarios in which Blast differs on purpose. One that agrees
// doesn't belong here.
var elsewhere = map[string]string{
	"no-wheels":                        sdist,
	"no-wheels-with-matching-platform": sdist,
	"incompatible-python-compatible-override-available-no-wheels":   sdist,
	"incompatible-python-compatible-override-unavailable-no-wheels": sdist,
	"incompatible-python-compatible-override-no-compatible-wheels":  sdist,
	"incompatible-python-compatible-override-other-wheel":           sdist,
	"only-wheels-no-binary":    "Blast installs nothing but wheels: there is no way to refuse them",
	"python-less-than-current": "uv ignores the upper bounds of Requires-Python; Blast honours them, as pip does",
}

// TestPackse compares with uv, scenario by scenario, with the index as JSON and
// as HTML.
func TestPackse(t *testing.T) {
	agree, differ := 0, 0
	packse.Each(t, func(t *testing.T, s packse.Scenario) {
		why, known := elsewhere[s.Name]
		diff := compare(t, s, false) + compare(t, s, true)
		switch {
		case known && diff == "":
			t.Errorf("agrees, and is listed as different: %s", why)
		case known:
			differ++
		case diff != "":
			t.Errorf("%s\n%s", s.Description, diff)
		default:
			agree++
		}
	})
	t.Logf("%d agree, %d differ on purpose", agree, differ)
}

// compare returns how Blast's answer differs from what is expected.
func compare(t *testing.T, s packse.Scenario, htmlOnly bool) string {
	version, glibc := s.Python, 39
	if s.Options.Python != "" {
		version = s.Options.Python
	}
	if s.Options.Platform == "x86_64-manylinux2014" {
		glibc = 17
	}
	env := newSetup(t, s.Serve(t, htmlOnly), s.Root.Requires...)
	env.py = python(t, version, glibc)
	set, diags := env.resolve(t)
	switch {
	case !s.Expected.Satisfiable && diags.HasErrors():
		return explains(s, text(diags))
	case !s.Expected.Satisfiable:
		return "resolved: " + pinned(set)
	case diags.HasErrors():
		return text(diags)
	}
	got := map[string]string{}
	for _, p := range set.Packages {
		got[p.Name] = p.Version
	}
	if len(s.Expected.Packages) == 0 {
		return missing(s, got)
	}
	return cmp.Diff(s.Expected.Packages, got)
}

// missing checks a scenario that only says that there is a solution.
func missing(s packse.Scenario, got map[string]string) (diff string) {
	for _, l := range s.Root.Requires {
		if r, err := pep508.Parse(l); err == nil && got[r.Key()] == "" {
			diff += r.Key() + " is not there\n"
		}
	}
	return diff
}

// explains checks that the explanation is one, and names a project of a line.
func explains(s packse.Scenario, said string) string {
	if !regexp.MustCompile(`(?s)No versions fit together\n.*no versions fit\.\n(Loosen|Change) or remove`).MatchString(said) {
		return "no explanation: " + said
	}
	for _, l := range s.Root.Requires {
		r, err := pep508.Parse(l)
		if err == nil && regexp.MustCompile(`\b`+regexp.QuoteMeta(r.Name)+`\b`).MatchString(said) {
			return ""
		}
	}
	return "it names none of the lines: " + said
}
