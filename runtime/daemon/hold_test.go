package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// crowd is a kind with a sandbox in which processes run, stand still and end.
type crowd struct {
	*slow
	mu      sync.Mutex
	did     []string
	running int
	refuses error // of Freeze
	expires time.Time
}

func (h *crowd) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.did = append(h.did, what)
}

func (h *crowd) Freeze(context.Context, state.Env) error { h.note("freeze"); return h.refuses }

func (h *crowd) Thaw(_ context.Context, env state.Env) error {
	if env.Held() == nil {
		h.note("thaw")
	}
	return nil
}

func (h *crowd) Kill(_ context.Context, _ state.Env, sig syscall.Signal) (int, error) {
	h.note("kill " + sig.String())
	return h.running, nil
}

func (h *crowd) Measure(_ context.Context, _ state.Env, v *state.Vitals) error {
	if h.objects() > 0 {
		v.PID = 47
	}
	return nil
}

func (h *crowd) Phase() string { return "configuring crowds" }
func (h *crowd) Expiry(state.Env) (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.expires, nil
}
func (h *crowd) ends(t time.Time) { h.mu.Lock(); defer h.mu.Unlock(); h.expires = t }
func (h *crowd) done() []string   { h.mu.Lock(); defer h.mu.Unlock(); return slices.Clone(h.did) }

func newCrowd(t *testing.T) (*rig, *crowd) {
	t.Helper()
	r := newRig(t)
	h := &crowd{slow: r.host, running: 3}
	r.Server = &Server{Engine: NewEngine(map[string]kinds.Host{"resource": h}, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)}
	r.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { r.timer.Stop(); _ = r.Engine.Close() })
	return r, h
}

// answered is an answer without an error.
func answered[T any](t *testing.T, r *rig, method string, params any) T {
	t.Helper()
	resp, _ := r.ask(t, method, params)
	if resp.Error != nil {
		t.Fatalf("%s: %v", method, resp.Error)
	}
	return decoded[T](t, resp)
}

func (r *rig) holds() wire.HoldParams {
	return wire.HoldParams{Env: r.env, Hold: state.Hold{By: "a test", Why: "to see"}}
}

// A hold is noted before the first process stands still, is taken once, and ends once.
func TestHoldAndRelease(t *testing.T) {
	r, h := newCrowd(t)
	if resp, _ := r.ask(t, wire.Hold, r.holds()); resp.Error == nil || !strings.Contains(resp.Error.Message, "is not up") {
		t.Fatalf("of nothing: %v", resp.Error)
	}
	r.applied(t)
	if res := answered[wire.HoldResult](t, r, wire.Hold, r.holds()); res.Was != nil || r.env.Held() == nil {
		t.Fatalf("%+v, %+v", res, r.env.Held())
	}
	again := r.holds()
	again.Hold.By = "another"
	if res := answered[wire.HoldResult](t, r, wire.Hold, again); res.Was == nil || res.Was.By != "a test" || r.env.Held().By != "a test" {
		t.Errorf("%+v, %+v", res, r.env.Held())
	}
	// What is changed waits, and what ends it all does not.
	if resp, _ := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.planOf(t, 6, true)}); resp.Error == nil || !strings.Contains(resp.Error.Message, "stands still since") || resp.Error.Advice == "" {
		t.Errorf("an apply meanwhile: %+v", resp.Error)
	}
	if res := answered[wire.HoldResult](t, r, wire.Release, wire.ReleaseParams{Env: r.env}); res.Was == nil || r.env.Held() != nil {
		t.Errorf("%+v, %+v", res, r.env.Held())
	}
	if res := answered[wire.HoldResult](t, r, wire.Release, wire.ReleaseParams{Env: r.env}); res.Was != nil {
		t.Errorf("%+v", res)
	}
	if did := h.done(); !slices.Equal(did, []string{"freeze", "freeze", "thaw", "thaw"}) {
		t.Error(did)
	}
	answered[wire.HoldResult](t, r, wire.Hold, r.holds())
	st, err := r.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Diff(nil, st.Objects, st.Objects, nil)
	p.Env, p.Lineage, p.Serial = r.env.Name, st.Lineage, st.Serial
	p.For(plan.Destroy, "")
	answered[wire.ApplyResult](t, r, wire.Apply, wire.ApplyParams{Env: r.env, Plan: p})
	if r.env.Held() != nil || h.objects() > 0 {
		t.Error("a frozen environment could not be destroyed")
	}
}

// What can't be stopped is not said to stand still.
func TestHoldThatFails(t *testing.T) {
	r, h := newCrowd(t)
	r.applied(t)
	h.refuses = errors.New("no freezer")
	if resp, _ := r.ask(t, wire.Hold, r.holds()); resp.Error == nil || r.env.Held() != nil {
		t.Errorf("%v, %+v", resp.Error, r.env.Held())
	}
	if did := h.done(); !slices.Equal(did, []string{"freeze", "thaw"}) {
		t.Error(did)
	}
}

// A daemon that comes later lets nothing go on that a person stopped, whatever the one
// before died of.
func TestHoldOutlivesTheDaemon(t *testing.T) {
	r, h := newCrowd(t)
	r.applied(t)
	answered[wire.HoldResult](t, r, wire.Hold, r.holds())
	if err := r.env.WriteNote(frozenNote, 1); err != nil { // it died while it saved
		t.Fatal(err)
	}
	if err := r.Engine.thawLeft(t.Context(), r.env); err != nil {
		t.Fatal(err)
	}
	if r.env.Held() == nil || slices.Contains(h.done(), "thaw") {
		t.Errorf("%+v, %v", r.env.Held(), h.done())
	}
}

// SIGKILL reaches a crowd that stands still, so that it has no more children, and is the
// end of a hold; other signals would not be seen.
func TestKill(t *testing.T) {
	r, h := newCrowd(t)
	r.applied(t)
	if res := answered[wire.KillResult](t, r, wire.Kill, wire.KillParams{Env: r.env, Signal: syscall.SIGTERM}); res.Processes != 3 {
		t.Errorf("%+v", res)
	}
	answered[wire.HoldResult](t, r, wire.Hold, r.holds())
	if resp, _ := r.ask(t, wire.Kill, wire.KillParams{Env: r.env, Signal: syscall.SIGTERM}); resp.Error == nil || !strings.Contains(resp.Error.Advice, "SIGKILL") {
		t.Errorf("%+v", resp.Error)
	}
	if res := answered[wire.KillResult](t, r, wire.Kill, wire.KillParams{Env: r.env, Signal: syscall.SIGKILL}); res.Processes != 3 || res.Was == nil || r.env.Held() != nil {
		t.Errorf("%+v, %+v", res, r.env.Held())
	}
	if did := h.done(); !slices.Equal(did, []string{"kill terminated", "freeze", "freeze", "kill killed", "thaw"}) {
		t.Error(did)
	}
}

// What an environment was at is told with its times, also of an apply that failed and of
// one that goes on.
func TestPhases(t *testing.T) {
	r, h := newCrowd(t)
	h.begun, h.hold = make(chan string, 1), make(chan struct{})
	conn, done := r.dial(t)
	send(t, conn, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)})
	<-h.begun
	look := answered[wire.LookResult](t, r, wire.Look, wire.LookParams{Env: r.env})
	if n := len(look.Phases); n == 0 || look.Phases[n-1].Name != "configuring crowds" || !look.Phases[n-1].Ended.IsZero() {
		t.Errorf("meanwhile: %+v", look.Phases)
	}
	close(h.hold)
	answer(t, conn)
	_ = conn.Close()
	<-done
	names := func(ps []state.Phase) (out []string) {
		for i, p := range ps {
			out = append(out, p.Name)
			if last := i == len(ps)-1; p.Begun.IsZero() || p.Ended.IsZero() != last || !last && p.Ended.Before(p.Begun) {
				t.Errorf("times of %+v", p)
			}
		}
		return out
	}
	want := []string{state.Initializing, "configuring crowds", state.Syncing, state.Checking, state.Active}
	if got := names(r.env.Phases()); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	answered[wire.HoldResult](t, r, wire.Hold, r.holds())
	answered[wire.HoldResult](t, r, wire.Release, wire.ReleaseParams{Env: r.env})
	want = append(want, state.Frozen, state.Active)
	if got := names(r.env.Phases()); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range 100 {
		r.Engine.enter(r.env, state.Frozen, "")
		r.Engine.over(r.env)
	}
	if got := r.env.Phases(); len(got) != state.MaxPhases {
		t.Errorf("%d phases are kept", len(got))
	}
}

// When its time is over an environment is destroyed, by the daemon that is there or by
// the next one that is asked about it.
func TestExpiry(t *testing.T) {
	r, h := newCrowd(t)
	r.applied(t)
	h.ends(time.Now().Add(time.Hour))
	if look := answered[wire.LookResult](t, r, wire.Look, wire.LookParams{Env: r.env}); len(look.Recorded) != 1 || time.Until(look.Expires) < 59*time.Minute {
		t.Fatalf("control: %+v", look)
	}
	h.ends(time.Now().Add(50 * time.Millisecond))
	r.Engine.arm(r.env)
	for end := time.Now().Add(10 * time.Second); h.objects() > 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still there")
		}
	}
	r.Engine.Wait(t.Context())
	h.ends(time.Time{})
	r.applied(t)
	h.ends(time.Now().Add(-time.Hour)) // no alarm is set for that
	look := answered[wire.LookResult](t, r, wire.Look, wire.LookParams{Env: r.env})
	if len(look.Recorded) > 0 || look.Serial != 0 || h.objects() > 0 {
		t.Errorf("%+v", look)
	}
}

func decoded[T any](t *testing.T, resp reply) (v T) {
	t.Helper()
	if err := json.Unmarshal(resp.Result, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
