package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

func object(addr string) plan.Object { return plan.NewObject(addr, 1, nil) }

func recorded(t *testing.T, env state.Env) state.State {
	t.Helper()
	s, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An edit is a generation like any other, but for how it came about.
func TestEdit(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default", Keep: 2, Desired: []plan.Object{object("a.1"), object("a.2")}})
	was := recorded(t, env)
	s, err := env.Edit("rm a.1", func(s *state.State) error {
		s.Objects = s.Objects[1:]
		s.Env, s.ID, s.Lineage = "other", "000000000000", "other" // which is not for an edit to say
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := recorded(t, env)
	if d := cmp.Diff(s, now); d != "" {
		t.Error(d)
	}
	if now.Serial != 2 || now.Lineage != was.Lineage || now.ID != env.ID || now.Env != "default" || len(now.Objects) != 1 || now.Origin.Mode != state.Edit || now.Origin.Of != "rm a.1" {
		t.Errorf("%+v", now)
	}
	if old, err := env.Generation(1); err != nil || len(old.Objects) != 2 {
		t.Errorf("the generation before: %+v, %v", old, err)
	}
	if _, err := env.Edit("again", func(*state.State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	gens, err := env.History()
	if err != nil || len(gens) != 2 || gens[1].Serial != 3 {
		t.Errorf("two are kept: %+v, %v", gens, err)
	}
}

// What can't be a state doesn't become one, and nothing is edited beside an apply.
func TestEditsThatAreRefused(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{object("a.1")}})
	was := recorded(t, env)
	no := errors.New("no")
	for name, change := range map[string]func(*state.State) error{
		"twice":      func(s *state.State) error { s.Objects = append(s.Objects, s.Objects[0]); return nil },
		"no address": func(s *state.State) error { s.Objects = append(s.Objects, plan.Object{}); return nil },
		"refused":    func(*state.State) error { return no },
	} {
		if _, err := env.Edit(name, change); err == nil {
			t.Errorf("%s: edited", name)
		}
	}
	tx, err := env.Begin(plan.Plan{Version: 1, Env: "default", Lineage: was.Lineage, Serial: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Edit("beside", func(*state.State) error { return nil }); !errors.Is(err, state.ErrUnfinished) {
		t.Errorf("beside an apply: %v", err)
	}
	if _, err := env.Rename("other"); !errors.Is(err, state.ErrUnfinished) {
		t.Errorf("beside an apply: %v", err)
	}
	if err := tx.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(was, recorded(t, env)); d != "" {
		t.Error(d)
	}
}

// A state that is gone is no "no state" while generations of it are there: the next apply
// would begin with the first one again, and remove these.
func TestLostStateIsAnError(t *testing.T) {
	env := newEnv(t)
	for range 3 {
		st := recorded(t, env)
		commit(t, env, plan.Plan{Version: 1, Env: "default", Lineage: st.Lineage, Serial: st.Serial, Desired: []plan.Object{object("a.1")}})
	}
	was := recorded(t, env)
	path, last := filepath.Join(env.Dir, "state.json"), filepath.Join(env.Dir, "history", "3.json")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, lerr := env.Load()
	_, eerr := env.Edit("push", func(s *state.State) error { *s = was; return nil })
	_, herr := env.History()
	for _, err := range []error{lerr, eerr, herr} {
		var corrupt *state.CorruptError
		if !errors.As(err, &corrupt) || !strings.HasSuffix(err.Error(), "cp "+last+" "+path) {
			t.Errorf("lost: %v", err)
		}
	}
	b, err := os.ReadFile(last)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(was, recorded(t, env)); d != "" {
		t.Error(d)
	}
}

// The first apply writes its generation before the state: who reads meanwhile, or after
// it has died, finds nothing on record.
func TestFirstApplyIsNoLostState(t *testing.T) {
	env := newEnv(t)
	tx, err := env.Begin(plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{object("a.1")}})
	if err != nil {
		t.Fatal(err)
	}
	history := filepath.Join(env.Dir, "history")
	if err := errors.Join(os.Mkdir(history, 0o700), os.WriteFile(filepath.Join(history, "1.json"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if st, err := env.Load(); err != nil || st.Serial != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := errors.Join(tx.Rolled(), tx.Retire(), tx.Close()); err != nil {
		t.Fatal(err)
	}
	if st, err := env.Load(); err != nil || st.Serial != 0 {
		t.Errorf("taken back: %+v, %v", st, err)
	}
}

// Edits and applies at once, each under the lock: every one is a generation of its own.
func TestEditsOneAfterAnother(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default", Keep: 1000, Desired: []plan.Object{object("a.0")}})
	var wg sync.WaitGroup
	const each, hands = 10, 4
	for hand := range hands {
		wg.Go(func() {
			for range each {
				unlock, err := env.LockWithin(t.Context(), "test", 0, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				if hand == 0 {
					err = again(env)
				} else {
					_, err = env.Edit("push", func(*state.State) error { return nil })
				}
				if err != nil {
					t.Error(err)
				}
				unlock()
			}
		})
	}
	wg.Wait()
	gens, err := env.History()
	if err != nil || len(gens) != 1+each*hands || gens[len(gens)-1].Serial != uint64(1+each*hands) {
		t.Errorf("%d generations, %v", len(gens), err)
	}
}

// again commits what is recorded once more.
func again(env state.Env) error {
	st, err := env.Load()
	if err != nil {
		return err
	}
	tx, err := env.Begin(plan.Plan{Version: 1, Env: env.Name, Keep: st.Keep, Lineage: st.Lineage, Serial: st.Serial, Desired: st.Objects})
	if err != nil {
		return err
	}
	return errors.Join(tx.Commit(), tx.Close())
}

func TestRename(t *testing.T) {
	env := newEnv(t)
	if _, err := env.Rename("new"); err == nil {
		t.Error("nothing has another name")
	}
	commit(t, env, plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{object("a.1")}})
	for _, bad := range []string{"", "..", "a/b"} {
		if _, err := env.Rename(bad); err == nil {
			t.Errorf("renamed to %q", bad)
		}
	}
	if err := os.Mkdir(filepath.Join(filepath.Dir(env.Dir), "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Rename("taken"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a name that is taken: %v", err)
	}
	unlock, err := env.Lock("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	to, err := env.Rename("new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Lock("test", 0); !errors.Is(err, state.ErrLocked) {
		t.Errorf("the lock was left behind: %v", err)
	}
	unlock()
	s := recorded(t, to)
	if to.ID != env.ID || s.Env != "new" || s.ID != env.ID || s.Serial != 2 || s.Origin.Of != "mv default" || len(s.Objects) != 1 {
		t.Errorf("%+v, %+v", to, s)
	}
	if again, err := state.Open(env.Project, "new", 0, 0); err != nil || again.ID != env.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := os.Lstat(env.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the old folder is there")
	}
}

// The file was written by the first Blast that there was.
func TestVersion1IsRead(t *testing.T) {
	old, err := os.ReadFile("testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	env := newEnv(t)
	if err := errors.Join(os.MkdirAll(env.Dir, 0o700), os.WriteFile(filepath.Join(env.Dir, "state.json"), old, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := recorded(t, env)
	var addrs []string
	for _, o := range s.Objects {
		addrs = append(addrs, o.Addr)
	}
	want := []string{"resource.limits", "resource.rlimits", "network.namespace", "network.policy", "packages.set", "process.sandbox", "process.environment", "filesystem.tree"}
	if s.Serial != 1 || s.Lineage != "fcb280fc4af45217546ad97102cd7c54" || s.Env != "default" || s.ID != env.ID || s.Keep != state.DefaultKeep || !slices.Equal(addrs, want) {
		t.Errorf("%+v %v", s, addrs)
	}
	if o, err := state.Open(env.Project, "default", 0, 0); err != nil || o.ID != env.ID {
		t.Errorf("its id is the folder's: %+v, %v", o, err)
	}
	// The next commit writes this version, and keeps the old one beside.
	commit(t, env, plan.Plan{Version: 1, Env: "default", Lineage: s.Lineage, Serial: s.Serial, Desired: s.Objects})
	for name, version := range map[string]string{"state.json": `"version": 2`, "history/1.json": `"version": 1`, "history/2.json": `"version": 2`} {
		b, err := os.ReadFile(filepath.Join(env.Dir, name))
		if err != nil || !strings.Contains(string(b), version) {
			t.Errorf("%s: no %s, %v", name, version, err)
		}
	}
	first, err := env.Generation(1)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s.Objects, first.Objects); d != "" {
		t.Error(d)
	}
	for name, damage := range map[string][2]string{
		"unknown word": {`"lineage"`, `"linage"`},
		"of version 2": {`"serial": 1,`, `"serial": 1, "keep": 3,`},
		"no serial":    {`"serial": 1,`, `"serial": 0,`},
	} {
		if _, err := state.Decode([]byte(strings.Replace(string(old), damage[0], damage[1], 1))); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}
