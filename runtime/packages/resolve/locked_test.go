package resolve_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/packages/resolve"
)

func (s *setup) locked(t testing.TB) (*resolve.Locked, hcl.Diagnostics) {
	t.Helper()
	return s.resolver().Locked(context.Background(), s.input())
}

func TestLocked(t *testing.T) {
	x, root := serve(t, "a 1: b", "b 1: c", "c 1: b", "z 1")
	s := newSetup(t, root, "a", "z", "-c c<2")
	if _, diags := s.locked(t); !diags.HasErrors() || !strings.Contains(text(diags), "blast lock") || !strings.Contains(text(diags), "requirements.txt:1") {
		t.Errorf("without a lock: %s", text(diags))
	}
	s.keepLock(t)
	before := len(x.Requests())
	l, diags := s.locked(t)
	if len(diags) > 0 || l.Stale != "" || len(l.Packages) != 4 || l.Asked["a"][0].Place != "requirements.txt:1" || len(l.Asked["c"]) != 0 {
		t.Errorf("%+v %s", l, text(diags))
	}
	if len(x.Requests()) != before {
		t.Error("the index was asked")
	}
	g := l.Graph()
	if got := g.Path("c", func(n string) bool { return n == "a" }); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("path: %q", got)
	}
	if got := g.Path("c", func(n string) bool { return n == "z" }); got != nil {
		t.Errorf("path from z: %q", got)
	}
	if got := fmt.Sprint(g.Needs, g.NeededBy); got != "map[a:[b] b:[c] c:[b]] map[b:[a c] c:[b]]" {
		t.Error(got)
	}
	s.wishes.Requirements = s.wishes.Requirements[:1]
	if l, diags := s.locked(t); diags.HasErrors() || !strings.Contains(l.Stale, "other requirements") {
		t.Errorf("%+v %s", l, text(diags))
	}
}

func TestAges(t *testing.T) {
	x, root := serve(t, "a 1: b<2", "b 1", "c 1", "d 1", "gone 1")
	s := newSetup(t, root, "a", "c==1", "d", "gone")
	s.keepLock(t)
	for _, p := range []string{"a 2: b<2", "b 1.5", "b 2", "c 2", "d 2rc1"} {
		add(t, x, p)
	}
	s.wishes.Requirements = s.wishes.Requirements[:3]
	ages, diags := s.resolver().Ages(context.Background(), s.input())
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	var got []string
	for _, a := range ages {
		got = append(got, fmt.Sprintf("%s %s %s %s %v", a.Name, a.Locked, a.Fits, a.Newest, a.Outdated()))
	}
	want := []string{"a 1 2 2 true", "b 1 1.5 2 true", "c 1 1 2 true", "d 1 1 1 false", "gone 1  1 true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
