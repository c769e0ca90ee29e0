package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// desk is a kind with a layer.
type desk struct {
	*crowd
	changes []overlay.Change
	half    bool
}

func (h *desk) Changes(context.Context, state.Env, []plan.Object, bool) ([]overlay.Change, error) {
	return h.changes, nil
}

func (h *desk) Take(_ context.Context, _ state.Env, _ []plan.Object, choose kinds.Choose) (int, error) {
	return h.Discard(context.Background(), state.Env{}, nil, choose)
}

func (h *desk) Discard(_ context.Context, _ state.Env, _ []plan.Object, choose kinds.Choose) (int, error) {
	chosen, err := choose(h.changes)
	for _, c := range chosen {
		h.note("settle " + c.Path)
	}
	return 0, errors.Join(err, h.refuses)
}

func (h *desk) Half(state.Env) bool { return h.half }

func (h *desk) Recover(context.Context, state.Env, []plan.Object) error {
	h.half = false
	h.note("recover")
	return nil
}

func newDesk(t *testing.T, cs ...overlay.Change) (*rig, *desk) {
	t.Helper()
	r, c := newCrowd(t)
	h := &desk{crowd: c, changes: cs}
	r.Engine = NewEngine(map[string]kinds.Host{"resource": h}, slog.New(slog.DiscardHandler))
	r.applied(t)
	return r, h
}

func (r *rig) taking(cs []overlay.Change, force bool) wire.TakeParams {
	return wire.TakeParams{Env: r.env, Digest: overlay.Digest(cs), Force: force, Within: time.Minute}
}

// What is taken over is what was shown, while nothing runs.
func TestChangedSinceShown(t *testing.T) {
	shown := []overlay.Change{{Path: "a", Kind: overlay.Added, Type: overlay.File, Content: "1"}, {Path: "b", Kind: overlay.Deleted, Type: overlay.File}}
	r, h := newDesk(t, shown...)
	for _, method := range []string{wire.Take, wire.Discard} {
		h.changes = slices.Clone(shown)
		h.changes[0].Content = "2"
		if resp, _ := r.ask(t, method, r.taking(shown, true)); resp.Error == nil || resp.Error.Code != wire.CodeStale {
			t.Errorf("%s of something else: %+v", method, resp.Error)
		}
		h.changes = shown
		if res := answered[wire.TakeResult](t, r, method, r.taking(shown, false)); res.Changes != 2 {
			t.Errorf("%+v", res)
		}
	}
	once := []string{"freeze", "thaw", "freeze", "settle a", "settle b", "thaw"}
	if did := h.done(); !slices.Equal(did, slices.Concat(once, once)) {
		t.Error(did)
	}
}

// What is refused is refused by who does it, whoever asks, and force is for less.
func TestBlockedChanges(t *testing.T) {
	for _, c := range []struct {
		change     overlay.Change
		plain, may bool
	}{
		{overlay.Change{Path: "a", Refused: "is a device"}, false, false},
		{overlay.Change{Path: "a", Conflict: "was changed"}, false, true},
		{overlay.Change{Path: "a", Doubtful: "leads out"}, false, true},
		{overlay.Change{Path: "a"}, true, true},
	} {
		r, h := newDesk(t, c.change)
		for force, want := range map[bool]bool{false: c.plain, true: c.may} {
			if resp, _ := r.ask(t, wire.Take, r.taking(h.changes, force)); (resp.Error == nil) != want {
				t.Errorf("%+v, force %v: %v", c.change, force, resp.Error)
			}
		}
		answered[wire.TakeResult](t, r, wire.Discard, r.taking(h.changes, false))
	}
}

// What a dead daemon was taking over is gone on with before anything else, while nothing runs.
func TestTakingThatWasCutOff(t *testing.T) {
	r, h := newDesk(t)
	h.half = true
	answered[wire.ChangesResult](t, r, wire.Changes, wire.ChangesParams{Env: r.env})
	if did := h.done(); !slices.Equal(did, []string{"freeze", "recover", "thaw"}) {
		t.Error(did)
	}
}
