package apply_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/state"
)

// files is an owner whose objects are files with generations: a new content is
// written beside the old one, a link is switched, and Commit deletes the old.
type files struct{ root string }

func (f files) Observe(context.Context, state.Env) ([]plan.Object, error) {
	es, err := os.ReadDir(f.root)
	var out []plan.Object
	for _, e := range es {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		b, err := os.ReadFile(filepath.Join(f.root, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, plan.Object{Addr: "f." + e.Name(), Attrs: b})
	}
	return out, err
}

func (f files) Apply(_ context.Context, _ state.Env, c plan.Change) error {
	name := filepath.Join(f.root, strings.TrimPrefix(c.Addr, "f."))
	if c.To == nil {
		err := os.Remove(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	gen := name + "@" + plan.Digest(c.To)
	if err := os.WriteFile(gen, c.To, 0o600); err != nil {
		return err
	}
	_ = os.Remove(name + ".new")
	if err := os.Symlink(gen, name+".new"); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (f files) Commit(_ context.Context, _ state.Env, c plan.Change) error {
	name := filepath.Join(f.root, strings.TrimPrefix(c.Addr, "f."))
	keep := ""
	if c.To != nil {
		keep = name + "@" + plan.Digest(c.To)
	}
	gens, err := filepath.Glob(name + "@*")
	for _, g := range gens {
		if g != keep {
			err = errors.Join(err, os.Remove(g))
		}
	}
	return err
}

// host is everything on the pretended host.
func (f files) host(t *testing.T) map[string]string {
	t.Helper()
	es, err := os.ReadDir(f.root)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(f.root, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(b)
	}
	return m
}

var errFault = errors.New("fault")

type died struct{}

// faulty fails or dies at the nth call of Apply or Commit, before or after its work.
type faulty struct {
	files
	n     *int
	at    int
	after bool
	die   bool
}

func (f faulty) hit(work func() error) error {
	*f.n++
	hit := *f.n == f.at
	stop := func() error {
		if f.die {
			panic(died{})
		}
		return errFault
	}
	if hit && !f.after {
		return stop()
	}
	if err := work(); err != nil {
		return err
	}
	if hit {
		return stop()
	}
	return nil
}

func (f faulty) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	return f.hit(func() error { return f.files.Apply(ctx, env, c) })
}

func (f faulty) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	return f.hit(func() error { return f.files.Commit(ctx, env, c) })
}

func objects(vs map[string]string) []plan.Object {
	var out []plan.Object
	for _, k := range slices.Sorted(maps.Keys(vs)) {
		out = append(out, plan.NewObject("f."+k, vs[k], nil))
	}
	return out
}

func planFor(t *testing.T, env state.Env, o apply.Owner, want []plan.Object) plan.Plan {
	t.Helper()
	st, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	now, err := apply.Observe(t.Context(), env, apply.Owners{"f": o})
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Diff(want, st.Objects, now, nil)
	p.Env, p.Lineage, p.Serial = env.Name, st.Lineage, st.Serial
	return p
}

// newEnv returns an environment with its owner, holding before.
func newEnv(t *testing.T, before map[string]string) (state.Env, files) {
	t.Helper()
	project := t.TempDir()
	env := state.NewEnv(project, "ci", 0, 0)
	env.Run = filepath.Join(project, "run")
	f := files{filepath.Join(project, "host")}
	if err := os.Mkdir(f.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if before != nil {
		if err := apply.Run(t.Context(), env, planFor(t, env, f, objects(before)), apply.Owners{"f": f}, apply.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	return env, f
}

// stories are the four ways in which an apply can go.
var stories = map[string]struct{ before, after map[string]string }{
	"create":  {nil, map[string]string{"a": "1", "b": "2", "c": "3"}},
	"update":  {map[string]string{"a": "1", "b": "2", "c": "3"}, map[string]string{"a": "4", "b": "5", "c": "6"}},
	"mixed":   {map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "5", "c": "3"}},
	"destroy": {map[string]string{"a": "1", "b": "2", "c": "3"}, nil},
}

// Whatever step an apply fails or dies at, the next command finds the old state
// whole or the new one, and a new apply works.
func TestFailOrDieAnywhere(t *testing.T) {
	for name, s := range stories {
		for _, die := range []bool{false, true} {
			for _, after := range []bool{false, true} {
				for at := 1; at <= 6; at++ {
					t.Run(fmt.Sprintf("%s/die=%v/after=%v/at=%d", name, die, after, at), func(t *testing.T) {
						failOrDie(t, s.before, s.after, die, after, at)
					})
				}
			}
		}
	}
}

func failOrDie(t *testing.T, before, after map[string]string, die, afterWork bool, at int) {
	env, f := newEnv(t, before)
	was := f.host(t)
	n := 0
	bad := faulty{f, &n, at, afterWork, die}
	p := planFor(t, env, f, objects(after))
	err := runOrDie(t, env, p, bad)
	if n < at {
		t.Fatalf("only %d steps: the fault was never reached", n)
	}
	var rolled *apply.RolledBackError
	if !die && at <= len(p.Steps) && (!errors.As(err, &rolled) || !errors.Is(err, errFault)) {
		t.Fatalf("err = %v, want it rolled back", err)
	}
	if _, err := apply.Recover(t.Context(), env, apply.Owners{"f": f}, nil); err != nil {
		t.Fatal(err)
	}
	got := f.host(t)
	committed := at > len(p.Steps)
	if !committed && !maps.Equal(got, was) {
		t.Fatalf("host = %v, want the old state %v", got, was)
	}
	if left := planFor(t, env, f, objects(after)); committed && !left.Empty() {
		t.Fatalf("committed, but not whole: %+v", left.Steps)
	}
	if again, err := apply.Recover(t.Context(), env, apply.Owners{"f": f}, nil); again || err != nil {
		t.Fatalf("a second recovery had work: %v, %v", again, err)
	}
	if err := apply.Run(t.Context(), env, planFor(t, env, f, objects(after)), apply.Owners{"f": f}, apply.Options{}); err != nil {
		t.Fatal(err)
	}
	if left := planFor(t, env, f, objects(after)); !left.Empty() {
		t.Fatalf("second plan is not empty: %+v", left.Steps)
	}
	if got := f.host(t); len(got) != 2*len(after) { // a link and its one generation each
		t.Fatalf("leftovers: %v", got)
	}
}

func runOrDie(t *testing.T, env state.Env, p plan.Plan, o apply.Owner) error {
	t.Helper()
	return runOrDieWith(t, env, p, o, apply.Options{})
}

func runOrDieWith(t *testing.T, env state.Env, p plan.Plan, o apply.Owner, opts apply.Options) (err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
		}
	}()
	return apply.Run(t.Context(), env, p, apply.Owners{"f": o}, opts)
}

// A failed undo keeps the journal, and the next command goes on with it.
func TestUndoThatFailsIsRetried(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1"})
	was := f.host(t)
	stuck := stuckOwner{f}
	p := planFor(t, env, f, objects(map[string]string{"a": "2", "b": "3"}))
	var incomplete *apply.IncompleteError
	if err := apply.Run(t.Context(), env, p, apply.Owners{"f": stuck}, apply.Options{}); !errors.As(err, &incomplete) {
		t.Fatalf("err = %v, want incomplete", err)
	}
	if err := apply.Run(t.Context(), env, p, apply.Owners{"f": f}, apply.Options{}); !errors.Is(err, state.ErrUnfinished) {
		t.Fatalf("an apply over an unfinished one: %v", err)
	}
	if did, err := apply.Recover(t.Context(), env, apply.Owners{"f": f}, nil); !did || err != nil {
		t.Fatal(did, err)
	}
	if got := f.host(t); !maps.Equal(got, was) {
		t.Fatalf("host = %v, want %v", got, was)
	}
}

// stuckOwner can't make b, and can't take a back.
type stuckOwner struct{ files }

func (s stuckOwner) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr == "f.b" || string(c.To) == `"1"` {
		return errFault
	}
	return s.files.Apply(ctx, env, c)
}

// Cancelling takes back what was begun, with a context of its own.
func TestCancelRollsBack(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1"})
	was := f.host(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := planFor(t, env, f, objects(map[string]string{"a": "2", "b": "3"}))
	err := apply.Run(ctx, env, p, apply.Owners{"f": f}, apply.Options{Tell: func(ev apply.Event) {
		if ev.Phase == apply.Done {
			cancel()
		}
	}})
	var rolled *apply.RolledBackError
	if !errors.As(err, &rolled) || !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	if got := f.host(t); !maps.Equal(got, was) {
		t.Fatalf("host = %v, want %v", got, was)
	}
}

// The state keeps lineage and counts up; the objects are those of the plan.
func TestStateAfterApply(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1"})
	one, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := apply.Run(t.Context(), env, planFor(t, env, f, objects(map[string]string{"a": "2"})), apply.Owners{"f": f}, apply.Options{}); err != nil {
		t.Fatal(err)
	}
	two, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	if one.Serial != 1 || two.Serial != 2 || one.Lineage != two.Lineage || len(one.Lineage) != 32 {
		t.Errorf("serials %d, %d; lineages %q, %q", one.Serial, two.Serial, one.Lineage, two.Lineage)
	}
	var v string
	if err := json.Unmarshal(two.Objects[0].Attrs, &v); err != nil || v != "2" {
		t.Errorf("objects %+v", two.Objects)
	}
}

// What the gate refuses is taken back, and it sees what was applied.
func TestGateHoldsTheCommit(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1"})
	was := f.host(t)
	p := planFor(t, env, f, objects(map[string]string{"a": "2", "b": "3"}))
	var saw map[string]string
	err := apply.Run(t.Context(), env, p, apply.Owners{"f": f}, apply.Options{Gate: func(context.Context) error {
		saw = f.host(t)
		return errFault
	}})
	var rolled *apply.RolledBackError
	if !errors.As(err, &rolled) || !errors.Is(err, errFault) || rolled.Undone != 2 {
		t.Fatalf("err = %v", err)
	}
	if saw["b"] != `"3"` {
		t.Errorf("the gate saw %v", saw)
	}
	if got := f.host(t); !maps.Equal(got, was) {
		t.Fatalf("host = %v, want %v", got, was)
	}
	if err := apply.Run(t.Context(), env, p, apply.Owners{"f": f}, apply.Options{Gate: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	gone := planFor(t, env, f, nil)
	if err := apply.Run(t.Context(), env, gone, apply.Owners{"f": f}, apply.Options{Gate: func(context.Context) error { return errFault }}); err != nil {
		t.Fatal("a destroy was asked:", err)
	}
}

// With KeepPartial what was done before the failure stays and is on record; what
// failed is as it was; and a crash anywhere on the way leaves a whole state.
func TestKeepPartial(t *testing.T) {
	before := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	after := map[string]string{"a": "5", "b": "6", "c": "7"}
	whole := len(before) // steps
	for at := 1; at <= whole; at++ {
		for _, afterWork := range []bool{false, true} {
			env, f := newEnv(t, before)
			n := 0
			p := planFor(t, env, f, objects(after))
			err := apply.Run(t.Context(), env, p, apply.Owners{"f": faulty{f, &n, at, afterWork, false}}, apply.Options{KeepPartial: true})
			var part *apply.PartialError
			var rolled *apply.RolledBackError
			if at == 1 && !errors.As(err, &rolled) || at > 1 && (!errors.As(err, &part) || part.Kept != at-1) {
				t.Fatalf("at %d: %v", at, err)
			}
			st, err := env.Load()
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]uint64{true: 1, false: 2}[at == 1]; st.Serial != want {
				t.Errorf("at %d: serial %d, want %d", at, st.Serial, want)
			}
			now, err := f.Observe(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			if left := plan.Diff(st.Objects, st.Objects, now, nil); !left.Empty() || len(left.Drift) > 0 {
				t.Errorf("at %d: the records are not what is there: %+v, %v", at, left.Steps, f.host(t))
			}
			if rest := planFor(t, env, f, objects(after)); len(rest.Steps) != whole-at+1 {
				t.Errorf("at %d: %d steps left", at, len(rest.Steps))
			}
			if got := f.host(t); len(got) != 2*len(now) { // a link and its one generation each
				t.Errorf("at %d: leftovers: %v", at, got)
			}
		}
	}
}

// What can't be recorded isn't kept, and it is told why.
func TestKeepPartialWithoutRecord(t *testing.T) {
	before := map[string]string{"a": "1", "b": "2"}
	env, f := newEnv(t, before)
	if err := os.Mkdir(filepath.Join(env.Dir, "history", "2.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	n := 0
	var failed []string
	opts := apply.Options{KeepPartial: true, Tell: func(ev apply.Event) {
		if ev.Phase == apply.Failed {
			failed = append(failed, ev.Addr+": "+ev.Error)
		}
	}}
	err := apply.Run(t.Context(), env, planFor(t, env, f, objects(map[string]string{"a": "3", "b": "4"})), apply.Owners{"f": faulty{f, &n, 2, false, false}}, opts)
	var rolled *apply.RolledBackError
	if !errors.As(err, &rolled) || f.host(t)["a"] != `"1"` {
		t.Errorf("%v: %v", err, f.host(t))
	}
	if len(failed) != 2 || !strings.HasPrefix(failed[0], "f.b: ") || !strings.HasPrefix(failed[1], "state.json: ") || !strings.Contains(failed[1], "2.json") {
		t.Errorf("told: %q", failed)
	}
}

// A commit of a part that dies while it cleans up goes on with that part.
func TestKeepPartialDiesAfterTheCommit(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1", "b": "2", "c": "3"})
	n := 0
	// Calls: Apply a, Apply b (fails), Apply b reversed, then Commit a dies.
	bad := second{faulty{f, &n, 4, false, true}}
	_ = runOrDieWith(t, env, planFor(t, env, f, objects(map[string]string{"a": "4", "b": "5", "c": "6"})), bad, apply.Options{KeepPartial: true})
	if n != 4 {
		t.Fatalf("died at call %d", n)
	}
	if did, err := apply.Recover(t.Context(), env, apply.Owners{"f": f}, nil); !did || err != nil {
		t.Fatal(did, err)
	}
	for name, want := range map[string]string{"a": `"4"`, "b": `"2"`, "c": `"3"`} {
		if got := f.host(t); got[name] != want || len(got) != 6 {
			t.Errorf("%s is %s of %v", name, got[name], got)
		}
	}
}

// second can't make the new b.
type second struct{ faulty }

func (s second) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	err := s.faulty.Apply(ctx, env, c)
	if string(c.To) == `"5"` {
		return errFault
	}
	return err
}

// Stop ends the undo, and the journal lets the next command finish it.
func TestStopLeavesTheUndoToTheNextCommand(t *testing.T) {
	env, f := newEnv(t, map[string]string{"a": "1", "b": "2"})
	was := f.host(t)
	stop, now := context.WithCancel(t.Context())
	p := planFor(t, env, f, objects(map[string]string{"a": "3", "b": "4"}))
	err := apply.Run(t.Context(), env, p, apply.Owners{"f": f}, apply.Options{
		Stop: stop,
		Gate: func(context.Context) error { return errFault },
		Tell: func(ev apply.Event) {
			if ev.Phase == apply.UndoneOne {
				now()
			}
		},
	})
	var incomplete *apply.IncompleteError
	if !errors.As(err, &incomplete) || !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	if maps.Equal(f.host(t), was) {
		t.Fatal("it was taken back all the same: the test shows nothing")
	}
	if did, err := apply.Recover(t.Context(), env, apply.Owners{"f": f}, nil); !did || err != nil {
		t.Fatal(did, err)
	}
	if got := f.host(t); !maps.Equal(got, was) {
		t.Fatalf("host = %v, want %v", got, was)
	}
}

// choosy is an owner of one object.
type choosy struct{ files }

func (choosy) Knows(addr string) bool { return addr == "f.known" }

func (c choosy) Apply(ctx context.Context, env state.Env, ch plan.Change) error {
	if !c.Knows(ch.Addr) {
		return errors.New("no such object")
	}
	return c.files.Apply(ctx, env, ch)
}

// What the records of another Blast name, and nobody here can make or remove, is refused
// before anything is begun: it could not be taken back, either.
func TestUnknownObjects(t *testing.T) {
	for _, addr := range []string{"f.other", "f.\x1b[31m", "g.known"} {
		env, f := newEnv(t, map[string]string{"known": "1"})
		owners := apply.Owners{"f": choosy{f}}
		was := f.host(t)
		st, err := env.Load()
		if err != nil {
			t.Fatal(err)
		}
		p := plan.Plan{Version: plan.FormatVersion, Env: env.Name, Lineage: st.Lineage, Serial: st.Serial, Steps: []plan.Step{
			{Change: plan.Change{Addr: "f.known", To: json.RawMessage("2")}}, {Change: plan.Change{Addr: addr, From: json.RawMessage("1")}},
		}}
		var unknown *apply.UnknownError
		if err := apply.Run(t.Context(), env, p, owners, apply.Options{}); !errors.As(err, &unknown) || unknown.Addr != addr || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", addr, err)
		}
		if env.Dirty() || !maps.Equal(was, f.host(t)) {
			t.Errorf("%q: begun all the same", addr)
		}
		tx, err := env.Begin(p) // as another Blast did
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apply.Recover(t.Context(), env, owners, nil); !errors.As(err, &unknown) {
			t.Errorf("%q: taken back by one that doesn't know it: %v", addr, err)
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
