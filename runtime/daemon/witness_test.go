package daemon

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

func TestBootTime(t *testing.T) {
	for text, want := range map[string]int64{"cpu 1 2\nbtime 1700000000\nprocesses 7\n": 1700000000, "btime x\n": 0, "": 0} {
		got := bootTime(text)
		if want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// That there is nothing is a restart only if the last commit was before it.
func TestRestartIsRecognised(t *testing.T) {
	gone := state.Env{Run: filepath.Join(t.TempDir(), "gone")}
	for _, c := range []struct {
		env  state.Env
		last time.Time
		want bool
	}{
		{gone, time.Unix(1, 0), true},
		{gone, time.Now(), false},
		{gone, time.Time{}, false}, // made by hand, say
		{state.Env{Run: t.TempDir()}, time.Unix(1, 0), false},
	} {
		if got := restarted(c.env, state.State{Origin: state.Origin{Time: c.last}}); got != c.want {
			t.Errorf("%s at %v: %v", c.env.Run, c.last, got)
		}
	}
}

// asked is a host that counts how often it is asked what it knows.
type asked struct {
	kinds.Host
	known map[string]string
	err   error
	n     int
}

func (a *asked) Witness(context.Context, state.Env) (map[string]string, error) {
	a.n++
	return a.known, a.err
}

// Nobody is asked where there is nothing to explain, and who fails is left out.
func TestWitnessesAreAsked(t *testing.T) {
	a := &asked{known: map[string]string{"a.1": "by nft"}}
	b := &asked{err: errors.New("broken"), known: map[string]string{"b.1": "a part"}}
	e := NewEngine(map[string]kinds.Host{"a": a, "b": b}, slog.New(slog.DiscardHandler))
	one, other := plan.NewObject("a.1", "x", nil), plan.NewObject("a.1", "y", nil)
	env := state.Env{Run: t.TempDir()}
	st := state.State{Objects: []plan.Object{one}}
	if got := e.witnessed(t.Context(), env, st, []plan.Object{one}); len(got) > 0 || a.n+b.n > 0 {
		t.Errorf("of nothing: %v, asked %d times", got, a.n+b.n)
	}
	for name, is := range map[string][]plan.Object{"changed": {other}, "gone": nil, "more": {one, plan.NewObject("a.2", "x", nil)}} {
		want := map[string]string{"a.1": "by nft", "b.1": "a part"}
		if d := cmp.Diff(want, e.witnessed(t.Context(), env, st, is)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	env.Run, st.Origin.Time = filepath.Join(env.Run, "gone"), time.Unix(1, 0)
	if d := cmp.Diff(map[string]string{"a.1": "the machine was restarted"}, e.witnessed(t.Context(), env, st, nil)); d != "" {
		t.Error(d)
	}
}
