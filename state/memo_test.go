package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

// What a Memo knows is never taken for what is there now.
func TestMemoReadsWhatIsThere(t *testing.T) {
	var m state.Memo
	env, other := newEnv(t), newEnv(t)
	same := func(what string, e state.Env) state.State {
		t.Helper()
		want, werr := e.Load()
		for range 2 {
			got, err := m.Load(e)
			if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (werr == nil) || err != nil && err.Error() != werr.Error() {
				t.Errorf("%s: %v, want %v\n%s", what, err, werr, diff)
			}
		}
		return want
	}
	of := func(v int) plan.Plan {
		return plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", v, map[string]string{"": "blast.hcl:1"})}}
	}
	same("never applied", env)
	commit(t, env, of(1))
	commit(t, other, of(2))
	if st := same("applied", env); st.Serial != 1 || string(st.Objects[0].Attrs) != "1" {
		t.Fatalf("%+v", st)
	}
	if st := same("another environment", other); string(st.Objects[0].Attrs) != "2" {
		t.Fatalf("%+v", st)
	}
	path := filepath.Join(env.Dir, "state.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil { // it looks untouched
			t.Fatal(err)
		}
	}
	same("before an edit", env)
	put(strings.Replace(string(text), `"attrs": 1`, `"attrs": 7`, 1))
	if st := same("edited", env); string(st.Objects[0].Attrs) != "7" {
		t.Errorf("%+v", st)
	}
	put("")
	same("empty", env)
	put(string(text))
	same("as it was", env)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	same("gone", env)
}
