//go:build linux

// Package track is the host half of filesystem.track: it watches what the sandboxes of an
// environment do with files, keeps the record of that, and acts when an alert fires.
//
//	fanotify ─┬▶ watch: who, where, what ─▶ book ─▶ file, readers, history, totals
//	BPF ──────┘                                └▶ alarms ─▶ log, freeze, kill
//
// It only looks: nothing that a sandbox does waits for it, and a daemon that hangs or is
// gone stops nobody. What it doesn't see it says: see access.Gap.
package track

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/filesystem/track/deny"
	"blast.example/blast/runtime/filesystem/track/fan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Host observes and applies filesystem.track, and watches each environment that has one.
// See kinds for the contract.
type Host struct {
	log     *slog.Logger
	freezer kinds.Freezer
	tap     deny.Tap // what is refused, to all sandboxes

	mu   sync.Mutex
	envs map[string]*tracked // by environment id
}

var (
	_ kinds.Host    = (*Host)(nil)
	_ kinds.Watcher = (*Host)(nil)
	_ kinds.Monitor = (*Host)(nil)
	_ kinds.Flusher = (*Host)(nil)
	_ kinds.Checker = (*Host)(nil)
	_ kinds.Keeper  = (*Host)(nil)

	_ kinds.Committer = (*Host)(nil)
)

// New returns a Host that watches nothing yet. What an alert freezes the freezer does.
func New(log *slog.Logger, freezer kinds.Freezer) *Host {
	return &Host{log: log, freezer: freezer, envs: map[string]*tracked{}}
}

// A tracked is an environment that is watched.
type tracked struct {
	mu      sync.Mutex // one thing at a time
	env     state.Env
	book    *book // nil: nothing is tracked
	track   filesystem.Track
	watches map[string]*watch // by sandbox
}

// trackNote is what was applied last.
const trackNote = "track"

func (h *Host) of(env state.Env) *tracked {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.envs[env.ID]
	if t == nil {
		t = &tracked{env: env, watches: map[string]*watch{}}
		h.envs[env.ID] = t
	}
	return t
}

// Knows implements apply.Knower.
func (*Host) Knows(addr string) bool { return addr == filesystem.TrackAddr }

// Apply implements kinds.Host.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr != filesystem.TrackAddr {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	var to filesystem.Track
	_, hasTo, err := c.Sides(&filesystem.Track{}, &to)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !hasTo {
		if err := env.DropNote(trackNote); err != nil {
			return err
		}
		return h.Sync(ctx, env)
	}
	to.Drift = nil
	if err := env.WriteNote(trackNote, to); err != nil {
		return err
	}
	return h.Sync(ctx, env)
}

// Commit implements kinds.Committer: which folders were seen is remembered for as long as
// an alert asks for it.
func (*Host) Commit(_ context.Context, env state.Env, c plan.Change) error {
	var to filesystem.Track
	if _, _, err := c.Sides(&filesystem.Track{}, &to); err != nil {
		return err
	}
	if slices.ContainsFunc(to.Alerts, func(a filesystem.Alert) bool { return a.FirstSeen }) {
		return nil
	}
	return forget(env)
}

// Restore implements kinds.Keeper: nothing of it outlives a reboot.
func (h *Host) Restore(_ context.Context, env state.Env, _ plan.Change) error {
	return env.DropNote(trackNote)
}

// Observe implements kinds.Host.
func (h *Host) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	var t filesystem.Track
	ok, err := env.ReadNote(trackNote, &t)
	if err != nil || !ok {
		return nil, err
	}
	in := h.of(env)
	in.mu.Lock()
	defer in.mu.Unlock()
	if t.Drift, err = in.drift(ctx, t); err != nil {
		return nil, fmt.Errorf("observe tracking: %w", err)
	}
	return []plan.Object{plan.NewObject(filesystem.TrackAddr, t, nil)}, nil
}

// drift says what is not watched of what should be. in.mu is held.
func (in *tracked) drift(ctx context.Context, t filesystem.Track) ([]string, error) {
	ids, err := sandbox.List(in.env)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, id := range ids {
		w := in.watches[id]
		if w == nil || !sameView(in.track, t) {
			if _, err := sandbox.Load(ctx, in.env, id); err == nil {
				all = append(all, "the files of the sandbox are not watched")
			}
			continue
		}
		if w.over() {
			continue
		}
		if err := w.flush(ctx); err != nil { // what was mounted just now is about to be watched
			return nil, err
		}
		points, err := w.unwatched()
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			all = append(all, p+" is not watched")
		}
	}
	return all, nil
}

// sameView reports whether the same is watched: alerts only count it.
func sameView(a, b filesystem.Track) bool {
	a.Alerts, b.Alerts, a.Drift, b.Drift = nil, nil, nil, nil
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// Sync implements kinds.Watcher: when it returns all mounts are watched of each sandbox
// that runs, before any command does in a new one.
func (h *Host) Sync(ctx context.Context, env state.Env) error {
	var t filesystem.Track
	ok, err := env.ReadNote(trackNote, &t)
	if err != nil {
		return err
	}
	in := h.of(env)
	in.mu.Lock()
	defer in.mu.Unlock()
	if !ok {
		return in.stop("nothing was tracked")
	}
	in.env = env
	if in.book == nil {
		if _, err := os.Lstat(env.Run); err != nil {
			return nil // it is going
		}
		if in.book, err = openBook(env.Run, h.log.With("env", env.ID), func(f access.Alert) { go h.act(env, f) }); err != nil { //nolint:contextcheck // it acts long after this call
			return err
		}
	}
	if err := in.book.want(env, t.Alerts); err != nil {
		return err
	}
	return h.watch(ctx, in, t)
}

// watch begins and ends watches. in.mu is held.
func (h *Host) watch(ctx context.Context, in *tracked, t filesystem.Track) error {
	ids, err := sandbox.List(in.env)
	if err != nil {
		return err
	}
	tree, _, err := mounts.Applied(in.env)
	if err != nil {
		return err
	}
	same := sameView(in.track, t)
	in.track = t
	old := in.watches
	in.watches = map[string]*watch{}
	for _, id := range ids {
		if w := old[id]; w != nil && same && !w.over() {
			in.watches[id] = w
			delete(old, id)
			w.follow(tree)
			err = errors.Join(err, w.flush(ctx)) // it sees what was mounted since
			continue
		}
		s, lerr := sandbox.Load(ctx, in.env, id)
		if errors.Is(lerr, sandbox.ErrNotRunning) {
			continue
		}
		if lerr == nil {
			var w *watch
			if w, lerr = newWatch(in.book, t, tree, s, &h.tap, h.log.With("env", in.env.ID)); lerr == nil {
				in.watches[id] = w
			}
		}
		if lerr != nil && !errors.Is(lerr, sandbox.ErrNotRunning) {
			err = errors.Join(err, lerr)
		}
	}
	for _, w := range old { // when the next one sees
		w.end()
	}
	return err
}

// stop ends all watches and the record. in.mu is held.
func (in *tracked) stop(reason string) error {
	for id, w := range in.watches {
		w.end()
		delete(in.watches, id)
	}
	in.track = filesystem.Track{}
	b := in.book
	if b == nil {
		return nil
	}
	in.book = nil
	return b.close(reason)
}

// Close implements kinds.Watcher.
func (h *Host) Close() error {
	h.mu.Lock()
	envs := h.envs
	h.envs = map[string]*tracked{}
	h.mu.Unlock()
	var errs []error
	for _, in := range envs {
		in.mu.Lock()
		errs = append(errs, in.stop("blastd was not running"))
		in.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Flush implements kinds.Flusher.
func (h *Host) Flush(ctx context.Context, env state.Env) error {
	in := h.of(env)
	in.mu.Lock()
	defer in.mu.Unlock()
	var errs []error
	for _, w := range in.watches {
		errs = append(errs, w.flush(ctx))
	}
	return errors.Join(errs...)
}

// Records implements kinds.Monitor.
func (*Host) Records() []string { return []string{access.Record} }

// Monitor implements kinds.Monitor.
func (h *Host) Monitor(ctx context.Context, env state.Env, a kinds.Asking, tell func(json.RawMessage) error) error {
	in := h.of(env)
	in.mu.Lock()
	b := in.book
	var errs []error
	for _, w := range in.watches {
		errs = append(errs, w.flush(ctx))
	}
	in.mu.Unlock()
	if b == nil {
		return past(env.Run, tell)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.show(ctx, a.Follow, tell)
}

// Check implements kinds.Checker: a host without fanotify can't track, and one without BPF
// can't tell what is refused.
func (h *Host) Check(_ context.Context, _ state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, filesystem.TrackAddr, func(t filesystem.Track) ([]kinds.Problem, error) {
		for _, open := range []func() (*fan.Group, error){fan.OpenFiles, fan.OpenNames} {
			g, err := open()
			if err != nil {
				return []kinds.Problem{{Addr: filesystem.TrackAddr, Item: "track", Reason: fmt.Sprintf("this host can't tell who uses which file: %v", err),
					Fix: "Use Linux 5.17 or newer as root, or remove the track block."}}, nil
			}
			if err := g.Close(); err != nil {
				return nil, err
			}
		}
		var ps []kinds.Problem
		for _, a := range t.Alerts {
			if a.Event != filesystem.Denied {
				continue
			}
			if err := h.tap.Able(); err != nil {
				ps = append(ps, kinds.Problem{Addr: filesystem.TrackAddr, Item: "alert." + a.Name + ".event", Reason: cannotDeny(err),
					Fix: "Use a kernel with BTF and BPF trampolines, as Debian 12's is, or remove the alert."})
			}
		}
		return ps, nil
	})
}
