package pep440_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/testfixtures/pypi/vectors"
)

type text[W any] struct {
	In   string `json:"in"`
	Want W      `json:"want"`
}

type match struct {
	Spec, Version string
	Want          bool
}

func TestVectorsVersion(t *testing.T) {
	t.Run("valid", func(t *testing.T) {
		vectors.Each(t, "version_valid", func(t *testing.T, v text[bool]) {
			if _, err := pep440.Parse(v.In); (err == nil) != v.Want {
				t.Errorf("Parse(%q): %v, want valid=%v", v.In, err, v.Want)
			}
		})
	})
	t.Run("normal form", func(t *testing.T) {
		vectors.Each(t, "version_norm", func(t *testing.T, v text[string]) {
			if got := parse(t, v.In).String(); got != v.Want {
				t.Errorf("Parse(%q) = %s, want %s", v.In, got, v.Want)
			}
		})
	})
	t.Run("pre-release", func(t *testing.T) {
		vectors.Each(t, "version_pre", func(t *testing.T, v text[bool]) {
			if got := parse(t, v.In).IsPrerelease(); got != v.Want {
				t.Errorf("IsPrerelease(%q) = %v", v.In, got)
			}
		})
	})
	t.Run("order", func(t *testing.T) {
		vectors.Each(t, "version_cmp", func(t *testing.T, v struct {
			A, B string
			Want int
		}) {
			a, b := parse(t, v.A), parse(t, v.B)
			if a.Compare(b) != v.Want || b.Compare(a) != -v.Want {
				t.Errorf("%s against %s: %d and %d, want %d", v.A, v.B, a.Compare(b), b.Compare(a), v.Want)
			}
		})
	})
}

func TestVectorsSpecifierValid(t *testing.T) {
	vectors.Each(t, "spec_valid", func(t *testing.T, v text[bool]) {
		if _, err := pep440.ParseSpecifiers(v.In); (err == nil) != v.Want {
			t.Errorf("ParseSpecifiers(%q): %v, want valid=%v", v.In, err, v.Want)
		}
	})
}

// TestVectorsContains checks the comparison and the intervals against each
// other, too: except for "===" they are two ways to one answer.
func TestVectorsContains(t *testing.T) {
	specs, ranges := map[string]pep440.Specifiers{}, map[string]pep440.Ranges{}
	for _, kind := range []string{"spec_contains_table", "spec_contains"} {
		t.Run(kind, func(t *testing.T) {
			vectors.Each(t, kind, func(t *testing.T, m match) {
				if _, ok := specs[m.Spec]; !ok {
					specs[m.Spec] = specifiers(t, m.Spec)
					ranges[m.Spec] = specs[m.Spec].Ranges()
				}
				v := parse(t, m.Version)
				if got := specs[m.Spec].Contains(v); got != m.Want {
					t.Errorf("%q contains %q = %v", m.Spec, m.Version, got)
				}
				got := ranges[m.Spec].Contains(v)
				if got != m.Want && (!got || !hasArbitrary(specs[m.Spec])) {
					t.Errorf("ranges of %q (%s) contain %q = %v", m.Spec, ranges[m.Spec], m.Version, got)
				}
			})
		})
	}
}

func hasArbitrary(ss pep440.Specifiers) bool {
	for _, s := range ss {
		if s.Op == pep440.Arbitrary {
			return true
		}
	}
	return false
}

func TestVectorsFilter(t *testing.T) {
	vectors.Each(t, "spec_filter", func(t *testing.T, f struct {
		Spec  string
		Input []string
		Pre   *bool
		Want  []string
	}) {
		policy := pep440.IfNecessary
		if f.Pre != nil && *f.Pre {
			policy = pep440.Always
		} else if f.Pre != nil {
			policy = pep440.Never
		}
		var in []pep440.Version
		for _, s := range f.Input {
			in = append(in, parse(t, s))
		}
		got := []string{}
		for _, v := range specifiers(t, f.Spec).Filter(policy, in) {
			got = append(got, v.Text())
		}
		if d := cmp.Diff(f.Want, got); d != "" {
			t.Errorf("filter %v by %q, policy %d (-want +got):\n%s", f.Input, f.Spec, policy, d)
		}
	})
}

func TestVectorsUnsatisfiable(t *testing.T) {
	vectors.Each(t, "spec_unsat", func(t *testing.T, v struct {
		Spec string
		Want bool
	}) {
		if got := specifiers(t, v.Spec).Unsatisfiable(); got != v.Want {
			t.Errorf("Unsatisfiable(%q) = %v; %s", v.Spec, got, specifiers(t, v.Spec).Ranges())
		}
	})
}

func parse(t *testing.T, s string) pep440.Version {
	t.Helper()
	v, err := pep440.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func specifiers(t *testing.T, s string) pep440.Specifiers {
	t.Helper()
	ss, err := pep440.ParseSpecifiers(s)
	if err != nil {
		t.Fatal(err)
	}
	return ss
}
