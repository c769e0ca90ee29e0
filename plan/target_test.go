package plan

import (
	"slices"
	"strings"
	"testing"
)

// house is a plan of things that stand on each other.
func house(from, to string) (p Plan, recorded []Object) {
	make := func(v string) []Object {
		if v == "" {
			return nil
		}
		roof := NewObject("top.roof", v, nil)
		roof.Needs = []string{"mid.wall"}
		wall := NewObject("mid.wall", v, nil)
		wall.Needs = []string{"base.floor"}
		return []Object{NewObject("base.floor", v, nil), wall, roof, NewObject("side.shed", v, nil)}
	}
	recorded = make(from)
	return Diff(make(to), recorded, recorded, func(c Change) Description {
		return Description{Items: []Item{{Name: "x", Action: Update, Restart: c.Addr == "mid.wall"}}}
	}), recorded
}

func names(p Plan) string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.Addr)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestOnlyAndExcept(t *testing.T) {
	for _, tt := range []struct {
		what, from, to, addr, only, except string
	}{
		{"create the top", "", "a", "top.roof", "base.floor mid.wall top.roof", "base.floor mid.wall side.shed"},
		{"create the base", "", "a", "base.floor", "base.floor", "side.shed"},
		{"create a kind", "", "a", "side", "side.shed", "base.floor mid.wall top.roof"},
		{"update the base", "a", "b", "base.floor", "base.floor", "mid.wall side.shed top.roof"},
		{"replace what another stands on", "a", "b", "mid.wall", "base.floor mid.wall top.roof", "base.floor side.shed top.roof"},
		{"update what stands on a replaced one", "a", "b", "top.roof", "base.floor mid.wall top.roof", "base.floor side.shed"},
		{"delete the base", "a", "", "base.floor", "base.floor mid.wall top.roof", "mid.wall side.shed top.roof"},
		{"delete the top", "a", "", "top.roof", "top.roof", "side.shed"},
	} {
		p, recorded := house(tt.from, tt.to)
		only, err := p.Only([]string{tt.addr}, recorded)
		if err != nil || names(only) != tt.only {
			t.Errorf("%s: only %q, want %q (%v)", tt.what, names(only), tt.only, err)
		}
		except, err := p.Except([]string{tt.addr}, recorded)
		if err != nil || names(except) != tt.except {
			t.Errorf("%s: except %q, want %q (%v)", tt.what, names(except), tt.except, err)
		}
		for _, q := range []Plan{only, except} {
			was, will := index(recorded), index(q.Desired)
			for _, s := range p.Steps {
				want := was[s.Addr]
				if slices.ContainsFunc(q.Steps, func(o Step) bool { return o.Addr == s.Addr }) {
					want = s.To
				}
				if string(will[s.Addr]) != string(want) {
					t.Errorf("%s: %s is recorded as %s, want %s", tt.what, s.Addr, will[s.Addr], want)
				}
			}
		}
	}
	p, recorded := house("", "a")
	if _, err := p.Only([]string{"base.flor"}, recorded); err == nil || !strings.Contains(err.Error(), "base.floor") {
		t.Errorf("a name that is none: %v", err)
	}
}
