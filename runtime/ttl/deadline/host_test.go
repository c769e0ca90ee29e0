package deadline

import (
	"os"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/ttl"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/conformance"
)

func object(d time.Duration) plan.Object {
	return plan.NewObject(ttl.Addr, ttl.TTL{TTL: d}, nil)
}

func newEnv(t *testing.T) state.Env {
	t.Helper()
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	env.Run = t.TempDir()
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return env
}

func TestConformance(t *testing.T) {
	env := newEnv(t)
	conformance.Run(t, conformance.Case{
		Host: Host{}, Env: env, A: []plan.Object{object(time.Hour)}, B: []plan.Object{object(2 * time.Hour)},
		Kernel: func(t *testing.T) string {
			t.Helper()
			r, ok, err := load(env)
			if err != nil {
				t.Fatal(err)
			}
			if !ok || r.TTL == 0 {
				return ""
			}
			return r.TTL.String()
		},
		Tamper: map[string]func(t *testing.T){
			"longer": func(t *testing.T) {
				t.Helper()
				if err := os.WriteFile(path(env), []byte(`{"since":"2026-01-01T00:00:00Z","ttl":1}`), 0o600); err != nil {
					t.Fatal(err)
				}
			},
		},
	})
}

// The end moves, the beginning doesn't, and an undo brings the end back.
func TestBeginningStays(t *testing.T) {
	env := newEnv(t)
	apply := func(c plan.Change) {
		t.Helper()
		if err := (Host{}).Apply(t.Context(), env, c); err != nil {
			t.Fatal(err)
		}
	}
	ends := func() time.Time {
		t.Helper()
		at, err := Host{}.Expiry(env)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if !ends().IsZero() {
		t.Fatal("control: nothing ends")
	}
	apply(plan.Change{Addr: ttl.Addr, To: object(time.Hour).Attrs})
	since := time.Now().UTC().Add(-30 * time.Minute).Truncate(time.Second)
	if err := os.WriteFile(path(env), []byte(`{"since":"`+since.Format(time.RFC3339)+`","ttl":3600000000000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	longer := plan.Change{Addr: ttl.Addr, From: object(time.Hour).Attrs, To: object(3 * time.Hour).Attrs}
	apply(longer)
	if got := ends(); !got.Equal(since.Add(3 * time.Hour)) {
		t.Errorf("ends %v", got)
	}
	apply(longer.Reverse())
	if got := ends(); !got.Equal(since.Add(time.Hour)) {
		t.Errorf("ends %v after an undo", got)
	}
	gone := plan.Change{Addr: ttl.Addr, From: object(time.Hour).Attrs}
	apply(gone)
	if !ends().IsZero() {
		t.Error("it ends without a ttl")
	}
	apply(gone.Reverse())
	if got := ends(); !got.Equal(since.Add(time.Hour)) {
		t.Errorf("ends %v after an undo of the removal", got)
	}
	apply(gone)
	if err := (Host{}).Commit(t.Context(), env, gone); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path(env)); err == nil {
		t.Error("the beginning is not forgotten")
	}
}

// What can't be read ends nothing.
func TestDamagedRecord(t *testing.T) {
	env := newEnv(t)
	if err := os.WriteFile(path(env), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, err := (Host{}).Expiry(env); err == nil || !at.IsZero() {
		t.Errorf("%v, %v", at, err)
	}
	if _, err := (Host{}).Observe(t.Context(), env); err == nil {
		t.Error("no error")
	}
}
