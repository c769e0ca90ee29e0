package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

const twoSecrets = "secret \"B\" {\n  from = \"file:b\"\n}\nsecret \"A\" {\n  from = \"env:BLAST_TEST_A\"\n}\n"

func TestSecrets(t *testing.T) {
	objs := configtest.Objects(t, Words{}, twoSecrets)
	e := configtest.Decode[Environment](t, objs, EnvironmentAddr)
	if d := cmp.Diff([]secret.Reference{{Name: "A", From: "env:BLAST_TEST_A"}, {Name: "B", From: "file:b"}}, e.Secrets); d != "" {
		t.Error(d)
	}
	src := objs[1].Src
	for item, want := range map[string]string{"secret.A": "blast.hcl:4", "secret.A.from": "blast.hcl:5", "secret.B": "blast.hcl:1"} {
		if got := plan.PlaceOf(src, item); got != want {
			t.Errorf("%s is at %s, want %s", item, got, want)
		}
	}
}

func TestSecretsRefused(t *testing.T) {
	for src, want := range map[string]string{
		"secret \"A\" {\n}\n":                                                            "Missing argument",
		"secret \"A-B\" {\n  from = \"env:A\"\n}\n":                                      "Invalid name",
		"secret \"A\" {\n  from = \"A\"\n}\n":                                            "Unknown source of a secret",
		"secret \"A\" {\n  from = 1\n}\n":                                                "Wrong type of value",
		"secret \"A\" {\n  from = \"env:A\"\n}\nenv = {\n  A = \"x\"\n}\n":               "Duplicate definition",
		"secret \"A\" {\n  from = \"env:A\"\n}\nsecret \"A\" {\n  from = \"env:B\"\n}\n": "Duplicate definition",
		"secret {\n  from = \"env:A\"\n}\n":                                              "Missing label",
		"secret \"A\" {\n  value = \"x\"\n  from = \"env:A\"\n}\n":                       "Unknown argument",
	} {
		_, diags := configtest.Load(t, configtest.Project(t, src), Words{})
		if len(diags) != 1 || diags[0].Summary != want || diags[0].Subject == nil {
			t.Errorf("%s: %v\nwant %q", src, diags, want)
		}
	}
}

func TestDescribeSecrets(t *testing.T) {
	at := func(refs ...secret.Reference) []byte {
		return plan.NewObject(EnvironmentAddr, Environment{Dir: "/", Secrets: refs}, nil).Attrs
	}
	a := secret.Reference{Name: "A", From: "env:A", Hash: "1"}
	other := secret.Reference{Name: "A", From: "env:B", Hash: "1"}
	changed, keyless := a, a
	changed.Hash, keyless.Hash = "2", ""
	for what, c := range map[string]struct {
		from, to []byte
		want     []plan.Item
	}{
		"with a sandbox": {nil, at(a), []plan.Item{{Name: "secret.A", Action: plan.Create, After: "env:A", Access: plan.Widen}}},
		"one more":       {at(), at(a), []plan.Item{{Name: "secret.A", Action: plan.Create, After: "env:A", Access: plan.Widen}}},
		"one less":       {at(a), at(), []plan.Item{{Name: "secret.A", Action: plan.Delete, Before: "env:A", Access: plan.Narrow}}},
		"another":        {at(a), at(other), []plan.Item{{Name: "secret.A", Action: plan.Update, Before: "env:A", After: "env:B", Access: plan.Both}}},
		"same":           {at(a), at(a), nil},
		"value":          {at(a), at(changed), []plan.Item{{Name: "secret.A", Action: plan.Update, After: "value changed", Cause: plan.BySecret}}},
		"key is gone":    {at(a), at(keyless), []plan.Item{{Name: "secret.A", Action: plan.Update, After: "value can't be compared with the last one: the key is gone", Cause: plan.BySecret}}},
	} {
		if d := cmp.Diff(c.want, (Words{}).Describe(plan.Change{Addr: EnvironmentAddr, From: c.from, To: c.to}).Items); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

// world is a project with two secrets that have values.
type world struct {
	t    *testing.T
	env  state.Env
	objs []plan.Object
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := configtest.Project(t, twoSecrets)
	w := &world{t: t, env: state.NewEnv(dir, "default", os.Geteuid(), os.Getegid())}
	w.objs, _ = configtest.Load(t, dir, Words{})
	w.value("a", "b")
	return w
}

func (w *world) value(a, b string) {
	w.t.Helper()
	w.t.Setenv("BLAST_TEST_A", a)
	if err := os.WriteFile(filepath.Join(w.env.Project, "b"), []byte(b), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) resolve(settled []plan.Object) ([]plan.Object, hcl.Diagnostics) {
	w.t.Helper()
	return (Words{}).Resolve(w.t.Context(), kinds.ResolveInput{Env: w.env, Project: w.env.Project, Objects: w.objs, Settled: settled})
}

// plan is what is recorded when it is applied, and the key.
func (w *world) plan(settled []plan.Object) (plan.Plan, map[string]string) {
	w.t.Helper()
	objs, diags := w.resolve(settled)
	if len(diags) > 0 {
		w.t.Fatal(diags)
	}
	return plan.Diff(objs, nil, nil, nil), hashes(w.t, objs)
}

func hashes(t *testing.T, objs []plan.Object) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range configtest.Decode[Environment](t, objs, EnvironmentAddr).Secrets {
		out[r.Name] = r.Hash
	}
	return out
}

// apply seals the plan, and keeps the key as the daemon does.
func (w *world) apply(p plan.Plan) map[string]string {
	w.t.Helper()
	key, err := Seal(&p, w.env)
	if err == nil && key != nil {
		err = w.env.KeepKey(key)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var to plan.Object
	for _, s := range p.Steps {
		if s.Addr == EnvironmentAddr {
			to = plan.Object{Addr: s.Addr, Attrs: s.To}
		}
	}
	got := hashes(w.t, p.Desired)
	if d := cmp.Diff(got, hashes(w.t, []plan.Object{to})); d != "" {
		w.t.Errorf("what is recorded is not what is applied: %s", d)
	}
	return got
}

func TestSecretsAreSettled(t *testing.T) {
	w := newWorld(t)
	first, unknown := w.plan(nil)
	if unknown["A"] != "" || unknown["B"] != "" {
		t.Errorf("hashes without a key: %v", unknown)
	}
	if _, err := os.Lstat(filepath.Join(w.env.Project, ".blast")); err == nil {
		t.Error("planning left something behind")
	}
	one := w.apply(first)
	if !secret.IsHash(one["A"]) || !secret.IsHash(one["B"]) {
		t.Fatalf("applied: %v", one)
	}
	for range 2 { // nothing changed: nor do the hashes
		p, again := w.plan(nil)
		if d := cmp.Diff(one, again); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(one, w.apply(p)); d != "" {
			t.Error(d)
		}
	}
	w.value("a2", "b\n") // a newline at the end is no change
	_, two := w.plan(nil)
	if two["A"] == one["A"] || two["B"] != one["B"] {
		t.Errorf("%v, then %v", one, two)
	}
}

// A saved plan stands, whatever values there are by now; but there must be some.
func TestSavedSecretsStand(t *testing.T) {
	w := newWorld(t)
	saved, _ := w.plan(nil) // before there is a key
	w.value("other", "b")
	if again, _ := w.plan(saved.Desired); !again.Same(saved) {
		t.Error("the first plan is another one")
	}
	w.apply(saved)

	saved, was := w.plan(nil)
	w.value("yet another", "b")
	again, is := w.plan(saved.Desired)
	if d := cmp.Diff(was, is); d != "" || !again.Same(saved) {
		t.Error("the plan is another one", d)
	}
	if _, now := w.plan(nil); now["A"] == was["A"] {
		t.Error("control: the value doesn't count at all")
	}
	// What is no hash doesn't stand, nor what belongs to another place.
	for _, forge := range []func(*secret.Reference){
		func(r *secret.Reference) { r.Hash = "x" },
		func(r *secret.Reference) { r.From = "env:OTHER" },
		func(r *secret.Reference) { r.Name = "C" },
	} {
		e := configtest.Decode[Environment](t, saved.Desired, EnvironmentAddr)
		forge(&e.Secrets[0])
		if _, now := w.plan([]plan.Object{plan.NewObject(EnvironmentAddr, e, nil)}); now["A"] == was["A"] || !secret.IsHash(now["A"]) {
			t.Errorf("%+v stands: %v", e.Secrets[0], now)
		}
	}
	if err := os.Remove(filepath.Join(w.env.Project, "b")); err != nil {
		t.Fatal(err)
	}
	if _, diags := w.resolve(saved.Desired); !diags.HasErrors() {
		t.Error("a secret without a value is no error, if the plan is a saved one")
	}
}

func TestSecretWithoutValue(t *testing.T) {
	w := newWorld(t)
	if err := os.Remove(filepath.Join(w.env.Project, "b")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BLAST_TEST_A", "")
	_, diags := w.resolve(nil)
	if len(diags) != 2 {
		t.Fatal(diags)
	}
	for i, want := range []struct {
		line int
		text string
	}{{5, "BLAST_TEST_A is empty"}, {2, "there is no file"}} {
		d := diags[i]
		if d.Summary != "Secret without a value" || d.Subject == nil || d.Subject.Start.Line != want.line || !strings.Contains(d.Detail, want.text) {
			t.Errorf("%v", d)
		}
	}
	p := plan.Plan{Desired: w.objs}
	if key, err := Seal(&p, w.env); err == nil {
		t.Errorf("sealed without a value, with %x", key)
	}
}

// A key that is gone is made anew, and the plan says what that means.
func TestKeyIsGone(t *testing.T) {
	w := newWorld(t)
	p, _ := w.plan(nil)
	one := w.apply(p)
	if err := w.env.Forget(); err != nil {
		t.Fatal(err)
	}
	p, none := w.plan(nil)
	if none["A"] != "" {
		t.Errorf("%v", none)
	}
	if two := w.apply(p); two["A"] == one["A"] {
		t.Error("another key makes the same hash")
	}
}

// A rollback is about which secrets there are: their values are what they are.
func TestRollbackKeepsHashes(t *testing.T) {
	at := func(refs ...secret.Reference) []plan.Object {
		return []plan.Object{plan.NewObject("other.object", 1, nil), plan.NewObject(EnvironmentAddr, Environment{Dir: "/", Secrets: refs}, nil)}
	}
	then := at(secret.Reference{Name: "A", From: "env:A", Hash: "1"}, secret.Reference{Name: "B", From: "env:B", Hash: "1"}, secret.Reference{Name: "C", From: "env:C", Hash: "1"})
	now := at(secret.Reference{Name: "A", From: "env:A", Hash: "2"}, secret.Reference{Name: "B", From: "env:B2", Hash: "2"})
	want := map[string]string{"A": "2", "B": "1", "C": "1"}
	got := KeepHashes(then, now)
	if d := cmp.Diff(want, hashes(t, got)); d != "" || len(got) != 2 {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"A": "1", "B": "1", "C": "1"}, hashes(t, KeepHashes(then, nil))); d != "" {
		t.Error(d)
	}
}

// What is shown of an environment has every name and no value.
func TestConceal(t *testing.T) {
	env := Environment{Vars: map[string]string{"MODE": "hush1", "TOKEN": "hush2"}, Dir: "/workspace", Secrets: []secret.Reference{{Name: "KEY", From: "env:KEY", Hash: "hush3"}, {Name: "NEW", From: "file:new"}}}
	shown, hidden := Words{}.Conceal(EnvironmentAddr, plan.NewObject(EnvironmentAddr, env, nil).Attrs)
	if strings.Contains(string(shown), "hush") {
		t.Errorf("%s", shown)
	}
	for _, want := range []string{`"MODE":"(sensitive value)"`, `"TOKEN":`, `"name":"KEY"`, `"from":"env:KEY"`, `"dir":"/workspace"`} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("no %s in %s", want, shown)
		}
	}
	if got := string(hidden); got != `{"vars":{"MODE":true,"TOKEN":true},"secrets":[{"hash":true},{}]}` {
		t.Error(got)
	}
	if shown, hidden := (Words{}).Conceal(EnvironmentAddr, []byte(`{"vars":["hush"]}`)); strings.Contains(string(shown), "hush") || string(hidden) != "true" {
		t.Errorf("%s, %s", shown, hidden)
	}
	box := plan.NewObject(SandboxAddr, Sandbox{User: "root"}, nil)
	if shown, hidden := (Words{}).Conceal(SandboxAddr, box.Attrs); string(shown) != string(box.Attrs) || hidden != nil {
		t.Errorf("%s, %s", shown, hidden)
	}
}
