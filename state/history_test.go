package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/state"
	"blast.example/blast/state/backend"
)

// generations commits one state after the other, which keep so many.
func generations(t *testing.T, env state.Env, keep int, values ...int) {
	t.Helper()
	for _, v := range values {
		st, err := env.Load()
		if err != nil {
			t.Fatal(err)
		}
		p := plan.Diff([]plan.Object{plan.NewObject("a.b", v, nil)}, st.Objects, st.Objects, nil)
		p.Env, p.Lineage, p.Serial, p.Keep = env.Name, st.Lineage, st.Serial, keep
		tx, err := env.Begin(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tx.Commit(), tx.Retire(), tx.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func serials(t *testing.T, env state.Env) string {
	t.Helper()
	gens, err := env.History()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range gens {
		b.WriteString(string(rune('0' + g.Serial)))
	}
	return b.String()
}

func TestHistoryKeepsTheLast(t *testing.T) {
	env := newEnv(t)
	if got := serials(t, env); got != "" {
		t.Fatalf("nothing was applied, and there is %q", got)
	}
	generations(t, env, 3, 10, 20, 30, 40, 50)
	if got := serials(t, env); got != "345" {
		t.Errorf("kept %q, want 345", got)
	}
	kept, err := env.Kept("a.b")
	if err != nil || len(kept) != 3 || string(kept[0]) != "30" || string(kept[2]) != "50" {
		t.Errorf("attributes %q, %v", kept, err)
	}
	old, err := env.Generation(4)
	if err != nil || string(old.Objects[0].Attrs) != "40" || old.Origin.Mode != plan.Normal || old.Origin.Time.IsZero() {
		t.Errorf("generation 4: %+v, %v", old, err)
	}
	if _, err := env.Generation(2); err == nil || !strings.Contains(err.Error(), "there are: 3, 4, 5") {
		t.Errorf("generation 2: %v", err)
	}
	generations(t, env, 1, 60)
	if got := serials(t, env); got != "6" {
		t.Errorf("kept %q, want 6 alone", got)
	}
	es, err := os.ReadDir(filepath.Join(env.Dir, "history"))
	if err != nil || len(es) != 1 {
		t.Errorf("records: %v, %v", es, err)
	}
}

// A destroyed environment keeps nothing, though its records are still there.
func TestDestroyedKeepsNothing(t *testing.T) {
	env := newEnv(t)
	generations(t, env, 5, 1, 2)
	st, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Diff(nil, st.Objects, st.Objects, nil)
	p.Lineage, p.Serial, p.Keep = st.Lineage, st.Serial, 5
	commit(t, env, p)
	if kept, err := env.Kept("a.b"); err != nil || len(kept) > 0 {
		t.Errorf("kept %q, %v", kept, err)
	}
	if err := env.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(env.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// The record of a generation that was never committed is none, and goes.
func TestGenerationOfADeadApply(t *testing.T) {
	env := newEnv(t)
	generations(t, env, 5, 1, 2)
	b, err := os.ReadFile(filepath.Join(env.Dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	ahead := filepath.Join(env.Dir, "history", "3.json")
	if err := os.WriteFile(ahead, []byte(strings.Replace(string(b), `"serial": 2`, `"serial": 3`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serials(t, env); got != "12" {
		t.Errorf("history %q", got)
	}
	if _, err := env.Generation(3); err == nil {
		t.Error("it can be read")
	}
	generations(t, env, 5, 3)
	if g, err := env.Generation(3); err != nil || string(g.Objects[0].Attrs) != "3" {
		t.Errorf("generation 3 is %+v, %v", g, err)
	}
}

// The state of an older Blast is read, becomes the first of the history, and is
// written anew by the next commit.
func TestStateOfVersion1(t *testing.T) {
	env := newEnv(t)
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old := `{"version": 1, "environment": "default", "lineage": "0123", "serial": 7, "objects": [{"addr": "a.b", "attrs": 1}]}`
	if err := os.WriteFile(filepath.Join(env.Dir, "state.json"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := env.Load()
	if err != nil || st.Serial != 7 || st.ID != env.ID || st.Keep != state.DefaultKeep || len(st.Objects) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	generations(t, env, 5, 2)
	if got := serials(t, env); got != "78" {
		t.Errorf("history %q", got)
	}
	b, err := os.ReadFile(filepath.Join(env.Dir, "state.json"))
	if err != nil || !strings.Contains(string(b), `"version": 2`) || !strings.Contains(string(b), env.ID) {
		t.Errorf("%s, %v", b, err)
	}
}

// Somebody who took the lock away and committed meanwhile is not overwritten.
func TestCommitOfALostLock(t *testing.T) {
	env := newEnv(t)
	generations(t, env, 5, 1)
	st, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Plan{Version: plan.FormatVersion, Lineage: st.Lineage, Serial: st.Serial, Desired: []plan.Object{plan.NewObject("a.b", 2, nil)}}
	tx, err := env.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(env.Dir, "journal.jsonl"), filepath.Join(env.Dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	generations(t, env, 5, 3)
	if err := tx.Commit(); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("committed over another's: %v", err)
	}
	if st, err := env.Load(); err != nil || string(st.Objects[0].Attrs) != "3" {
		t.Errorf("%+v, %v", st, err)
	}
}
