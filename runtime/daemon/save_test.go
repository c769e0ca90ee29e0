package daemon

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
	"blast.example/blast/state/snapshot/layer"
)

// keeper is a kind with files, and with commands that stand still when told.
type keeper struct {
	*slow
	mu    sync.Mutex
	did   []string
	copy  func(ctx context.Context) error // in Copy, if not nil
	noted func() bool
}

func (h *keeper) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noted() {
		what += "*"
	}
	h.did = append(h.did, what)
}

func (h *keeper) Ready(context.Context, state.Env) error  { h.note("ready"); return nil }
func (h *keeper) Freeze(context.Context, state.Env) error { h.note("freeze"); return nil }
func (h *keeper) Thaw(context.Context, state.Env) error   { h.note("thaw"); return nil }

func (h *keeper) Copy(ctx context.Context, _ state.Env) (kinds.Copy, error) {
	h.note("copy")
	if h.copy != nil {
		if err := h.copy(ctx); err != nil {
			return nil, err
		}
	}
	return nothing{h}, nil
}

// nothing is a copy of an empty layer.
type nothing struct{ h *keeper }

func (c nothing) Pack(_ context.Context, w io.Writer, _ func(int64)) (layer.Stats, error) {
	c.h.note("pack")
	return layer.Stats{}, tar.NewWriter(w).Close()
}
func (c nothing) Shared() (bool, int64) { return false, 7 }
func (c nothing) Close() error          { c.h.note("close"); return nil }

func newKeeper(t *testing.T) (*rig, *keeper) {
	t.Helper()
	r := newRig(t)
	h := &keeper{slow: r.host, noted: func() bool {
		_, err := os.Lstat(r.env.Run + "/" + frozenNote + ".json")
		return err == nil
	}}
	r.Server = &Server{Engine: NewEngine(map[string]kinds.Host{"resource": h}, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)}
	r.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { r.timer.Stop() })
	return r, h
}

// saving is a request to save what is recorded.
func (r *rig) saving(t *testing.T, name string) wire.SaveParams {
	t.Helper()
	st, err := r.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(snapshot.Record{Version: snapshot.Version, Environment: r.env.Name, Lineage: st.Lineage, Serial: st.Serial, Objects: st.Objects})
	if err != nil {
		t.Fatal(err)
	}
	return wire.SaveParams{Env: r.env, Name: name, Record: b, Within: time.Minute}
}

func (r *rig) applied(t *testing.T) {
	t.Helper()
	if resp, _ := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
}

func (r *rig) snapshots(t *testing.T) []snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Open(r.env.Project)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Commands stand still while they are copied, and not while the copy is packed; as long
// as they may, a note says so.
func TestSave(t *testing.T) {
	r, h := newKeeper(t)
	if resp, _ := r.ask(t, wire.Save, r.saving(t, "a")); resp.Error == nil || resp.Error.Code != wire.CodeStale {
		t.Errorf("nothing was applied: %v", resp.Error)
	}
	r.applied(t)
	h.did = nil
	resp, _ := r.ask(t, wire.Save, r.saving(t, "a"))
	var res wire.SaveResult
	if resp.Error != nil || json.Unmarshal(resp.Result, &res) != nil || res.Copied != 7 || res.Frozen <= 0 || !strings.HasPrefix(res.Digest, "sha256:") {
		t.Fatalf("%v %s", resp.Error, resp.Result)
	}
	if want := []string{"ready", "freeze*", "copy*", "thaw*", "pack", "close"}; !slices.Equal(h.did, want) {
		t.Errorf("%v, want %v", h.did, want)
	}
	if all := r.snapshots(t); len(all) != 1 || all[0].Name != "a" || all[0].Digest.String() != res.Digest {
		t.Errorf("%+v", all)
	}
	h.did = nil
	if resp, _ := r.ask(t, wire.Save, r.saving(t, "a")); resp.Error == nil || !strings.Contains(resp.Error.Message, "of that name") || len(h.did) > 0 {
		t.Errorf("a name that is taken: %v %v", resp.Error, h.did)
	}
	again := r.saving(t, "a")
	again.Replace = true
	if resp, _ := r.ask(t, wire.Save, again); resp.Error != nil {
		t.Error(resp.Error)
	}
	if resp, _ := r.ask(t, wire.Save, r.saving(t, "../x")); resp.Error == nil {
		t.Error("a name that leads out")
	}
	old := r.saving(t, "b")
	r.applied(t)
	if resp, _ := r.ask(t, wire.Save, old); resp.Error == nil || resp.Error.Code != wire.CodeStale {
		t.Errorf("of another generation: %v", resp.Error)
	}
}

// Whatever becomes of a save, commands go on, and nothing is stored.
func TestSaveThatFailsThaws(t *testing.T) {
	r, h := newKeeper(t)
	r.applied(t)
	for name, c := range map[string]struct {
		within time.Duration
		copy   func(context.Context) error
		says   string
	}{
		"error":    {time.Minute, func(context.Context) error { return errors.New("no room") }, "no room"},
		"too long": {time.Millisecond, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "--freeze-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			h.did, h.copy = nil, c.copy
			p := r.saving(t, "a")
			p.Within = c.within
			if resp, _ := r.ask(t, wire.Save, p); resp.Error == nil || !strings.Contains(resp.Error.Message, c.says) {
				t.Errorf("%v", resp.Error)
			}
			if len(h.did) == 0 || h.did[len(h.did)-1] != "thaw*" || h.noted() || len(r.snapshots(t)) > 0 {
				t.Errorf("%v %v", h.did, r.snapshots(t))
			}
		})
	}
	begun := make(chan struct{})
	h.copy = func(ctx context.Context) error { close(begun); <-ctx.Done(); return ctx.Err() }
	conn, done := r.dial(t)
	send(t, conn, wire.Save, r.saving(t, "a"))
	<-begun
	if resp, _ := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)}); resp.Error == nil || resp.Error.Code != wire.CodeLocked {
		t.Errorf("an apply meanwhile: %v", resp.Error)
	}
	_ = conn.Close() // the command was ended
	<-done
	if h.did[len(h.did)-1] != "thaw*" || h.noted() || len(r.snapshots(t)) > 0 {
		t.Errorf("%v %v", h.did, r.snapshots(t))
	}
	if _, err := os.Lstat(state.SnapshotsDir(r.env.Project)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an empty store is left")
	}
}

// What a daemon that died left standing still goes on before anything else is done.
func TestFreezeOfADeadDaemon(t *testing.T) {
	r, h := newKeeper(t)
	r.applied(t)
	for name, act := range map[string]func() error{
		"adopted": func() error { return r.Engine.thawLeft(t.Context(), r.env) },
		"saved":   func() error { r.ask(t, wire.Save, r.saving(t, "a")); return nil },
	} {
		h.did = nil
		if err := errors.Join(r.env.WriteNote(frozenNote, 1), act()); err != nil {
			t.Fatal(err)
		}
		if len(h.did) == 0 || h.did[0] != "thaw*" || h.noted() {
			t.Errorf("%s: %v", name, h.did)
		}
	}
	h.did = nil
	if err := r.Engine.thawLeft(t.Context(), r.env); err != nil || len(h.did) > 0 {
		t.Errorf("control: %v %v", h.did, err)
	}
}

// A freeze that was ended, and whose note could not be removed, is over with the next
// command, whatever that is.
func TestFreezeWhoseNoteStayed(t *testing.T) {
	r, h := newKeeper(t)
	r.applied(t)
	if err := r.env.WriteNote(frozenNote, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	h.did = nil
	if resp, _ := r.ask(t, wire.Look, wire.LookParams{Env: r.env}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	if h.noted() || !slices.Equal(h.did, []string{"thaw*"}) {
		t.Errorf("noted: %t, %v", h.noted(), h.did)
	}
}
