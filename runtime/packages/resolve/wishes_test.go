package resolve_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/packages"
)

// lines adds lines of blast.hcl that ask for nothing.
func (s *setup) limit(constraints, overrides []string) {
	for _, c := range constraints {
		s.wishes.Requirements = append(s.wishes.Requirements, packages.Requirement{Text: c, Place: "blast.hcl:3", Constraint: true})
	}
	for _, o := range overrides {
		s.wishes.Requirements = append(s.wishes.Requirements, packages.Requirement{Text: o, Place: "blast.hcl:4", Override: true})
	}
}

func TestOverrides(t *testing.T) {
	_, root := serve(t, "a 1: b<2", "b 1", "b 2", "b 3", "c 1: b>=3", "d 1")
	for _, c := range []struct {
		asks, overrides []string
		want            string
	}{
		{[]string{"a", "c"}, []string{"b==2"}, "a 1, b 2, c 1"}, // in place of what both want
		{[]string{"b==1"}, []string{"b>2"}, "b 3"},              // and of a person's own line
		{[]string{"a", "-c b<1"}, []string{"b==3"}, "a 1, b 3"}, // and of a constraint
		{[]string{"d"}, []string{"b==3"}, "d 1"},                // it asks for nothing
		{[]string{"a"}, []string{"b==3; python_version < '3'"}, "a 1, b 1"},
	} {
		s := newSetup(t, root, c.asks...)
		s.limit(nil, c.overrides)
		if got := s.must(t); got != c.want {
			t.Errorf("%q with %q: %s", c.asks, c.overrides, got)
		}
		s.keepLock(t)
		if got := s.must(t); got != c.want {
			t.Errorf("%q with %q from the lock: %s", c.asks, c.overrides, got)
		}
	}
	s := newSetup(t, root, "a", "c")
	s.limit(nil, []string{"b==4"})
	if got := s.fails(t); !strings.Contains(got, "b==4") || !strings.Contains(got, "overridden in blast.hcl:4") {
		t.Error(got)
	}
}

func TestCooldown(t *testing.T) {
	x, root := serve(t, "a 1", "a 2", "a 3", "b 1")
	s := newSetup(t, root, "a")
	for name, age := range map[string]time.Duration{"a-2-py3-none-any.whl": 8 * 24 * time.Hour, "a-3-py3-none-any.whl": 24 * time.Hour, "b-1-py3-none-any.whl": time.Hour} {
		if err := x.Upload(name, s.now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	s.keepLock(t)
	if got := s.must(t); got != "a 3" {
		t.Fatalf("without: %s", got)
	}
	// What the lock has may be too young, too.
	s.wishes.Cooldown = 7 * 24 * 3600
	if got := s.must(t); got != "a 2" {
		t.Errorf("%s is taken", got)
	}
	s.keepLock(t)
	s.now = s.now.Add(30 * 24 * time.Hour)
	if got := s.must(t); got != "a 2" {
		t.Errorf("what is locked changed by itself: %s", got)
	}
	s.upgrade.All = true
	if got := s.must(t); got != "a 3" {
		t.Errorf("later: %s", got)
	}
	s.upgrade.All, s.now = false, s.now.Add(-30*24*time.Hour)
	s.wishes.Requirements = newSetup(t, root, "b").wishes.Requirements
	if got := s.fails(t); !strings.Contains(got, "within the cooldown") {
		t.Error(got)
	}
	s.wishes.Requirements = newSetup(t, root, "b==1").wishes.Requirements
	if got := s.must(t); got != "b 1" {
		t.Errorf("pinned: %s", got)
	}
}

// TestCooldownNeedsATime: a page without times of upload can't be judged by them.
func TestCooldownNeedsATime(t *testing.T) {
	x, root := serve(t, "a 1")
	if err := x.Upload("a-1-py3-none-any.whl", time.Time{}); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, root, "a")
	s.wishes.Cooldown = 3600
	if got := s.fails(t); !strings.Contains(got, "doesn't tell when it was uploaded") {
		t.Error(got)
	}
}

// TestRegistry: a project of a registry comes from there and from nowhere else, and
// nothing else does.
func TestRegistry(t *testing.T) {
	public, root := serve(t, "a 1: corp-a", "corp-a 9", "b 1")
	private, own := serve(t, "corp-a 1", "a 5")
	s := newSetup(t, root, "a")
	other, err := url.Parse(own)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(other.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	s.policy.Egress[0].Ports = append(s.policy.Egress[0].Ports, uint16(port))
	s.keepLock(t)
	if got := s.must(t); got != "a 1, corp-a 9" {
		t.Fatalf("without a registry: %s", got)
	}
	s.wishes.Registries = []packages.Registry{{Name: "corp", URL: strings.TrimSuffix(own, "/"), Packages: []string{"corp-*"}}}
	before := len(public.Requests())
	set := s.keepLock(t)
	if got := pinned(set); got != "a 1, corp-a 1" || !strings.HasPrefix(set.Packages[1].URL, other.Scheme+"://"+other.Host) {
		t.Errorf("%s from %s", got, set.Packages[1].URL)
	}
	for _, q := range public.Requests()[before:] {
		if strings.Contains(q.Path, "corp") {
			t.Errorf("the public index was asked for %s", q.Path)
		}
	}
	for _, q := range private.Requests() {
		if !strings.Contains(q.Path, "corp") {
			t.Errorf("the registry was asked for %s", q.Path)
		}
	}
	// A lock that was edited doesn't bring the stranger back.
	s.writeLock(t, strings.Replace(set.Lock.Content, `index = "`+strings.TrimSuffix(own, "/"), `index = "`+strings.TrimSuffix(root, "/"), 1))
	again, diags := s.resolve(t)
	if pinned(again) != "a 1, corp-a 1" || !strings.Contains(text(diags), "has to come from") {
		t.Errorf("%s: %s", pinned(again), text(diags))
	}
	s.wishes.Requirements = newSetup(t, root, "corp-b").wishes.Requirements
	if got := s.fails(t); !strings.Contains(got, own[:len(own)-1]) || strings.Contains(got, "not in "+root[:len(root)-1]) {
		t.Error(got)
	}
}
