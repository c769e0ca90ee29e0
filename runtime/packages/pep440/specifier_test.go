package pep440_test

import (
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/pep440"
)

func TestContains(t *testing.T) {
	for _, c := range []struct{ spec, in, out string }{
		{"", "1.0 2.0a1", ""},
		{"==1.0", "1.0 1.0.0 1.0+x", "1.0.post1 1.0a1 1.0.1"},
		{"==1.0+x", "1.0+x 1.0+X", "1.0 1.0+y"},
		{"!=1.0", "1.0.post1 2", "1.0 1.0+x"},
		{"==1.*", "1.0 1.9 1.dev1 1.0.post1 1.5+x", "2.0.dev1 0.9 1!1.0"},
		{"!=1.5.*", "1.4 1.6", "1.5 1.5.1 1.5a1"},
		{"~=2.2", "2.2 2.3 2.2.post3 2.99", "2.1 3.0 2.2rc1"},
		{"~=1.4.5", "1.4.5 1.4.9+x", "1.5.0 1.4.4 1.4.5rc1"},
		{"~=1.4.5a4", "1.4.5a4 1.4.5 1.4.9", "1.5.0 1.4.5a3"},
		{">=1.0", "1.0 1.0+x 1.0.post1", "1.0rc1"},
		{"<=1.0", "1.0 1.0+x 1.0rc1", "1.0.post1"},
		{">1.0", "1.0.1 1.1.dev0", "1.0 1.0+x 1.0.post1 1.0.post1.dev1"},
		{">1.0.post1", "1.0.post2", "1.0.post1 1.0.post1+x"},
		{"<1.0", "0.9 0.9.post1", "1.0 1.0.dev1 1.0rc1"},
		{"<1.0rc2", "1.0rc1 1.0.dev1", "1.0rc2 1.0"},
		{">=1,<2,!=1.5", "1 1.4 1.5.1", "2 1.5 0.9"},
		{"===1.0", "1.0", "1.0.0 1.0+x"},
		{" >= 1.0 , ", "1.0", "0.9"},
	} {
		ss := specifiers(t, c.spec)
		ranges := ss.Ranges()
		for _, s := range strings.Fields(c.in) {
			if v := parse(t, s); !ss.Contains(v) || !ranges.Contains(v) {
				t.Errorf("%q contains %s: %v, ranges %v (%s)", c.spec, s, ss.Contains(v), ranges.Contains(v), ranges)
			}
		}
		for _, s := range strings.Fields(c.out) {
			v := parse(t, s)
			if inRanges := ranges.Contains(v) && !strings.Contains(c.spec, "==="); ss.Contains(v) || inRanges {
				t.Errorf("%q contains %s: %v, ranges %v (%s)", c.spec, s, ss.Contains(v), ranges.Contains(v), ranges)
			}
		}
	}
}

func TestPrereleasePolicy(t *testing.T) {
	for _, c := range []struct {
		spec   string
		policy pep440.Prereleases
		want   string
	}{
		{">=1", pep440.IfNecessary, "1.0 2.0"},
		{">=1", pep440.Always, "1.0 2.0 3.0rc1"},
		{">=1", pep440.Never, "1.0 2.0"},
		{">2", pep440.IfNecessary, "3.0rc1"},
		{">2", pep440.Never, ""},
		{">=1.0a1", pep440.IfNecessary, "1.0 2.0 3.0rc1"},
		{">=1.0a1", pep440.Never, "1.0 2.0"},
		{">=1,!=2.0a1", pep440.IfNecessary, "1.0 2.0"},
	} {
		var got []string
		for _, v := range specifiers(t, c.spec).Filter(c.policy, []pep440.Version{parse(t, "1.0"), parse(t, "2.0"), parse(t, "3.0rc1")}) {
			got = append(got, v.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q under policy %d gave %q, want %q", c.spec, c.policy, got, c.want)
		}
	}
}

func TestSpecifiersString(t *testing.T) {
	if got := specifiers(t, " <2 ,>= 1.0 , == 1.*").String(); got != "<2,==1.*,>=1.0" {
		t.Errorf("%s", got)
	}
	made := pep440.Specifier{Op: pep440.Equal, Version: parse(t, "1.2"), Prefix: true}
	if made.String() != "==1.2.*" || !made.Contains(parse(t, "1.2.3")) {
		t.Errorf("%s", made)
	}
}

func TestRangesAlgebra(t *testing.T) {
	set := func(s string) pep440.Ranges { return specifiers(t, s).Ranges() }
	if !set("<1").Union(set(">=1.dev0")).Equal(pep440.All()) {
		t.Error("<1 and >=1.dev0 are not everything")
	}
	if set("<1").Union(set(">=1")).Equal(pep440.All()) {
		t.Error("<1 and >=1 are everything, and 1.dev0 is in neither")
	}
	if !set(">=1,<2").IsSubset(set(">=0.5")) || set(">=0.5").IsSubset(set(">=1,<2")) || !set("<1").IsDisjoint(set(">1")) || set("<=1").IsDisjoint(set(">=1")) {
		t.Error("subsets and disjoint sets")
	}
	if got := set("!=1.5.*,>=1,<3").String(); got != ">=1,<1.5.dev0 || >=1.6.dev0,<3.dev0" {
		t.Errorf("%s", got)
	}
	if pep440.All().String() != "any" || (pep440.Ranges{}).String() != "none" || !(pep440.Ranges{}).Complement().Equal(pep440.All()) {
		t.Error("the empty and the full set")
	}
	if x := pep440.Exactly(parse(t, "1.0")); x.Contains(parse(t, "1.0+x")) || !x.Contains(parse(t, "1.0.0")) {
		t.Errorf("exactly 1.0 is %s", x)
	}
}

// TestRangesLaws checks the algebra on all pairs of a set of specifiers, by
// membership of versions around every edge.
func TestRangesLaws(t *testing.T) {
	specs := []string{"", "==1.0", "!=1.0", ">1.0", "<1.0", ">=1.0", "<=1.0", "~=1.0", "==1.*", ">1.0a1", "<1.0a2.dev0", ">1.0.post1", "==1.0+x", "!=1.0+x", "<=1.0.dev1", ">1.0.dev0", "===1.0", "<0", ">=1!0"}
	for _, p := range specs {
		a := specifiers(t, p).Ranges()
		for _, q := range specs {
			b := specifiers(t, q).Ranges()
			both, either, not := a.Intersect(b), a.Union(b), a.Complement()
			for _, s := range append(ordered, "1.0+x", "1.0+y", "1.0.dev0", "1.0.dev1", "1.0a1.post1", "1.0.post1", "1.0.post1+x", "1.0.post2.dev0") {
				v := parse(t, s)
				inA, inB := a.Contains(v), b.Contains(v)
				if both.Contains(v) != (inA && inB) || either.Contains(v) != (inA || inB) || not.Contains(v) == inA {
					t.Errorf("%q and %q at %s: %v %v, both %s, either %s, not %s", p, q, s, inA, inB, both, either, not)
				}
			}
			if a.IsSubset(b) != both.Equal(a) || a.IsDisjoint(b) != both.IsEmpty() || !not.Complement().Equal(a) {
				t.Errorf("laws of %q and %q", p, q)
			}
		}
	}
}

func FuzzParseSpecifiers(f *testing.F) {
	for _, s := range []string{">=1.0,<2", "==1.*", "~=1.4.2", "===any thing", ">1.0a1,<1.0a2.dev0", "!=1.0+x"} {
		f.Add(s, "1.0.post1")
	}
	f.Fuzz(func(t *testing.T, spec, version string) {
		ss, err := pep440.ParseSpecifiers(spec)
		if err != nil {
			return
		}
		again, err := pep440.ParseSpecifiers(ss.String())
		if err != nil || again.String() != ss.String() {
			t.Fatalf("%q is %q, read again %q, %v", spec, ss, again, err)
		}
		v, err := pep440.Parse(version)
		if err != nil {
			return
		}
		in, inRanges := ss.Contains(v), ss.Ranges().Contains(v)
		if in && !inRanges || in != inRanges && !strings.Contains(spec, "===") {
			t.Errorf("%q contains %q: %v, ranges %s: %v", spec, version, in, ss.Ranges(), inRanges)
		}
		if in && ss.Unsatisfiable() {
			t.Errorf("%q is unsatisfiable, and contains %q", spec, version)
		}
	})
}
