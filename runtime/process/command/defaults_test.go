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
