package plan

import (
	"strings"
	"testing"
)

// made is an object whose one item was made of these.
func made(attrs string, by ...Maker) Object {
	o := NewObject("resource.limits", attrs, map[string]string{"": "blast.hcl:1", "memory.max": "blast.hcl:7"})
	o.By = map[string]Makers{"memory.max": by}
	return o
}

func one(Change) Description {
	return Description{Items: []Item{{Name: "memory.max", Action: Update}, {Name: "pids.max", Action: Update}}}
}

func TestVariablesAreBlamed(t *testing.T) {
	file := Maker{"var.memory", "2GiB", "", "dev.auto.blastvars:3"}
	fallback := Maker{"var.memory", "1GiB", "default", "blast.hcl:4"}
	hidden := Maker{"var.token", "", "--var token", ""}
	sensitive := Maker{"var.token", Sensitive, "BLAST_VAR_token", ""}
	for _, c := range []struct {
		name           string
		was, now       []Maker
		because, place string // of memory.max; "" is the line of blast.hcl
	}{
		{"no variable", nil, nil, "", ""},
		{"another value", []Maker{fallback}, []Maker{file}, "var.memory = 2GiB (dev.auto.blastvars:3) instead of 1GiB (default, blast.hcl:4)", "dev.auto.blastvars:3"},
		{"another value, in no file", []Maker{file}, []Maker{{"var.memory", "3GiB", "--var memory", ""}}, "var.memory = 3GiB (--var memory) instead of 2GiB (dev.auto.blastvars:3)", ""},
		{"the same value, so the line", []Maker{fallback}, []Maker{fallback}, "", ""},
		{"the same value from elsewhere, so the line", []Maker{fallback}, []Maker{{"var.memory", "1GiB", "--var memory", ""}}, "", ""},
		{"first made of one", nil, []Maker{file}, "var.memory = 2GiB (dev.auto.blastvars:3)", ""},
		{"made of one no more", []Maker{file}, nil, "", ""},
		{"one of two", []Maker{file, {"var.a", "x", "default", "blast.hcl:9"}}, []Maker{{"var.memory", "2GiB", "default", "blast.hcl:4"}, {"var.a", "y", "default", "blast.hcl:10"}},
			"var.a = y (default, blast.hcl:10) instead of x (default, blast.hcl:9)", "blast.hcl:10"},
		{"a value that isn't told may differ", []Maker{hidden}, []Maker{hidden}, "var.token (--var token)", ""},
		{"nor can what is sensitive be compared", []Maker{sensitive}, []Maker{sensitive}, "var.token (sensitive, BLAST_VAR_token)", ""},
		{"env", []Maker{{Name: "env HOME"}}, []Maker{{Name: "env HOME"}}, "env HOME", ""},
		{"many", nil, []Maker{{Name: "var.a"}, {Name: "var.b"}, {Name: "var.c"}, {Name: "var.d"}, {Name: "var.e"}}, "var.a, var.b, var.c, 2 more", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := made("old", c.was...)
			s := Diff([]Object{made("new", c.now...)}, []Object{was}, []Object{was}, one).Steps[0]
			cause := ByVariable
			if c.because == "" {
				cause = ByConfiguration
			}
			if c.place == "" {
				c.place = "blast.hcl:7"
			}
			if it := s.Items[0]; it.Because != c.because || it.Cause != cause || it.Place != c.place {
				t.Errorf("got %q %q %q\nwant %q %q %q", it.Cause, it.Because, it.Place, cause, c.because, c.place)
			}
			if it := s.Items[1]; it.Cause != ByConfiguration || it.Because != "" {
				t.Errorf("another item is blamed on it, too: %+v", it)
			}
		})
	}
}

func TestNewObjectTellsItsVariables(t *testing.T) {
	s := Diff([]Object{made("new", Maker{"var.memory", "2GiB", "--var memory", ""})}, nil, nil, one).Steps[0]
	if it := s.Items[0]; it.Cause != ByVariable || it.Because != "var.memory = 2GiB (--var memory)" {
		t.Errorf("%+v", it)
	}
}

// A variable's source explains and is never compared.
func TestMakersAreNotCompared(t *testing.T) {
	was, now := made("x", Maker{"var.memory", "1GiB", "default", "blast.hcl:4"}), made("x", Maker{"var.memory", "1GiB", "--var memory", ""})
	if p := Diff([]Object{now}, []Object{was}, []Object{was}, one); !p.Empty() || p.Recorded {
		t.Errorf("%+v", p)
	}
	changed := made("y", now.By["memory.max"]...)
	a, b := Diff([]Object{changed}, []Object{was}, []Object{was}, one), Diff([]Object{made("y")}, []Object{was}, []Object{was}, one)
	if !a.Same(b) {
		t.Error("two plans differ by what explains them")
	}
}

func TestDriftIsToldOf(t *testing.T) {
	o := made("x", Maker{"var.memory", "1GiB", "default", "blast.hcl:4"})
	found := func(c Change) Description { // as kinds with a list of what they found
		if strings.Contains(string(c.From), "drift") {
			return Description{Items: []Item{{Name: "host", Action: Update, Because: "rule missing"}}}
		}
		return Description{}
	}
	for _, c := range []struct {
		name     string
		is       []Object
		describe Describe
		known    string
		want     string // what is said of the first item
	}{
		{"unknown", []Object{made("y")}, one, "", "changed outside of Blast, not known by whom"},
		{"known", []Object{made("y")}, one, "by nft (pid 7)", "changed outside of Blast, by nft (pid 7)"},
		{"found", []Object{made("drift")}, found, "", "rule missing"},
		{"found and known", []Object{made("drift")}, found, "by nft (pid 7)", "rule missing, by nft (pid 7)"},
		{"gone", nil, one, "", "gone, not known how"},
		{"gone and known", nil, one, "out of memory", "out of memory"},
		{"gone without an item", nil, found, "out of memory", "out of memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Diff([]Object{o}, []Object{o}, c.is, c.describe)
			p.Tell(map[string]string{"resource.limits": c.known, "network.policy": "somebody else"})
			for _, s := range []Step{p.Steps[0], p.Drift[0]} {
				if len(s.Items) == 0 || s.Items[0].Because != c.want || s.Items[0].Cause != ByDrift || !s.Drift {
					t.Errorf("got %+v\nwant because %q", s.Items, c.want)
				}
			}
		})
	}
}

// What somebody wants and nobody drifted is not blamed on the host.
func TestTellLeavesOthers(t *testing.T) {
	was := made("x")
	p := Diff([]Object{made("y")}, []Object{was}, []Object{was}, one)
	p.Tell(map[string]string{"resource.limits": "by nft"})
	if it := p.Steps[0].Items[0]; it.Cause != ByConfiguration || it.Because != "" {
		t.Errorf("%+v", it)
	}
}

func TestPlansForSomethingElse(t *testing.T) {
	was := made("x", Maker{"var.memory", "1GiB", "default", "blast.hcl:4"})
	for _, c := range []struct {
		mode  Mode
		cause Cause
		want  string
	}{
		{Normal, ByVariable, "var.memory = 2GiB (--var memory) instead of 1GiB (default, blast.hcl:4)"},
		{Rollback, ByGeneration, "generation 3"},
		{Load, BySnapshot, "snapshot 3"},
		{Destroy, ByRequest, "destroy"},
	} {
		p := Diff([]Object{made("y", Maker{"var.memory", "2GiB", "--var memory", ""})}, []Object{was}, []Object{was}, one)
		p.For(c.mode, "3")
		if it := p.Steps[0].Items[0]; it.Cause != c.cause || it.Because != c.want || p.Mode != c.mode || p.Of != "3" {
			t.Errorf("%s: %+v", c.mode, it)
		}
		p = Diff([]Object{was}, []Object{was}, []Object{made("z")}, one) // what it mends is still drift
		p.For(c.mode, "3")
		if it := p.Steps[0].Items[0]; it.Cause != ByDrift {
			t.Errorf("%s: %+v", c.mode, it)
		}
	}
}

func TestUpgradeIsNamed(t *testing.T) {
	was := made("x")
	p := Diff([]Object{made("y")}, []Object{was}, []Object{was}, func(Change) Description {
		return Description{Items: []Item{{Name: "package.a", Cause: ByPackage, Because: "package update"}, {Name: "package.b"}}}
	})
	p.Upgraded()
	if a, b := p.Steps[0].Items[0], p.Steps[0].Items[1]; a.Because != "package update, --upgrade" || b.Because != "" {
		t.Errorf("%+v %+v", a, b)
	}
}
