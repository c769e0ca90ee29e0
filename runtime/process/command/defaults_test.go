package command

import (
	"maps"
	"testing"

	"blast.example/blast/runtime/resource/rlimit"
	"blast.example/blast/state"
)

// What any kind limits is limited, whatever another kind's note says.
func TestLoadLimits(t *testing.T) {
	env := state.Env{Run: t.TempDir() + "/run"}
	for kind, l := range map[string]rlimit.Limits{
		"filesystem": {"fsize": {Soft: 100, Hard: 100}},
		"resource":   {"fsize": {Soft: 50, Hard: 1000}, "nofile": {Soft: 1, Hard: 2}},
	} {
		if err := env.WriteNote(NoteName(kind), Defaults{Rlimits: l}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Load(env)
	want := rlimit.Limits{"fsize": {Soft: 50, Hard: 100}, "nofile": {Soft: 1, Hard: 2}}
	if err != nil || !maps.Equal(d.Rlimits, want) {
		t.Errorf("%v, want %v (%v)", d.Rlimits, want, err)
	}
}

// What is applied takes the place of what commands follow only for who asks for it.
func TestLoadApplied(t *testing.T) {
	env := state.Env{Run: t.TempDir() + "/run"}
	for name, d := range map[string]Defaults{
		NoteName("process"):    {Dir: "/old"},
		AppliedName("process"): {Dir: "/new"},
		NoteName("zz"):         {Vars: map[string]string{"A": "1"}},
		AppliedName("only"):    {Socket: "/s", UID: 7},
		"process":              {Dir: "/other"},
	} {
		if err := env.WriteNote(name, d); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		load func(state.Env) (Defaults, error)
		want Defaults
	}{
		"now":   {Load, Defaults{Dir: "/old"}},
		"after": {LoadApplied, Defaults{Dir: "/new", Socket: "/s", UID: 7}},
	} {
		d, err := c.load(env)
		if err != nil || d.Dir != c.want.Dir || d.Socket != c.want.Socket || d.UID != c.want.UID || d.Vars["A"] != "1" {
			t.Errorf("%s: %+v, want %+v (%v)", name, d, c.want, err)
		}
	}
}
