package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// shy is a kind with objects that nobody can see, as they are only half made. They can be
// removed in one order only.
type shy struct {
	*slow
	half []string // the one to be removed next last
	fail error
}

func (h *shy) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if h.fail != nil {
		return h.fail
	}
	if n := len(h.half); n > 0 && h.half[n-1] == c.Addr {
		h.half = h.half[:n-1]
	} else if n > 0 && h.half[0] == c.Addr {
		return errors.New("something stands on it")
	}
	return h.slow.Apply(ctx, env, c)
}

// What is left of an orphan keeps no daemon, if nobody can see that it is anything.
func TestAdoptedOrphans(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, h *shy, orphan state.Env)
		stays   bool
	}{
		"nothing": {prepare: func(*testing.T, *shy, state.Env) {}},
		"half made": {prepare: func(_ *testing.T, h *shy, _ state.Env) {
			h.half = []string{"resource.limits", "resource.rlimits"}
		}},
		"there": {prepare: func(_ *testing.T, h *shy, _ state.Env) {
			h.there["resource.limits"] = plan.NewObject("resource.limits", 1, nil)
		}, stays: true},
		"somebody is at it": {prepare: func(t *testing.T, _ *shy, orphan state.Env) {
			unlock, err := orphan.Lock("another", 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(unlock)
		}, stays: true},
		"half made, and it can't be removed": {prepare: func(_ *testing.T, h *shy, _ state.Env) {
			h.half, h.fail = []string{"resource.limits"}, errors.New("busy")
		}, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			h := &shy{slow: r.host}
			e := NewEngine(map[string]kinds.Host{"resource": h}, r.Log)
			if err := os.MkdirAll(r.env.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := r.env.Claim("of-the-lost-records", []string{"resource.limits", "resource.rlimits"}); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Dir(r.env.Dir)); err != nil {
				t.Fatal(err)
			}
			orphan := r.env.Orphan()
			c.prepare(t, h, orphan)
			e.adopt(t.Context(), orphan)
			if claimed, err := orphan.Claimed(); err != nil || claimed != c.stays {
				t.Fatalf("claimed: %v, %v", claimed, err)
			}
			if h.fail != nil {
				h.fail = nil
				e.adopt(t.Context(), orphan) // the next daemon
				if claimed, err := orphan.Claimed(); err != nil || claimed {
					t.Fatalf("then: %v, %v", claimed, err)
				}
			}
			if len(h.half) > 0 {
				t.Errorf("%v is left", h.half)
			}
		})
	}
}

// An apply that ends before it has begun leaves no claim that would keep the daemon.
func TestNoClaimOfWhatWasNotBegun(t *testing.T) {
	r := newRig(t)
	p := r.plan(t)
	if err := errors.Join(os.Remove(r.env.Run), os.MkdirAll(r.env.Dir, 0o700)); err != nil { // as before a first apply
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.env.Dir, "secrets.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Engine.Apply(t.Context(), t.Context(), wire.ApplyParams{Env: r.env, Plan: p, Secrets: wire.Secrets{Key: make([]byte, 32)}}, func(wire.Event) {})
	if err == nil {
		t.Fatal("applied with a key that is none")
	}
	if claimed, err := r.env.Claimed(); err != nil || claimed {
		t.Errorf("claimed: %v, %v", claimed, err)
	}
}
