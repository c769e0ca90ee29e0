// Package daemon is the one process that touches the kernel: it observes and
// applies for the command line, and keeps alive what an environment needs while
// it is up (its DNS server and relays). What it enforces stays shut when it
// dies; the next command starts another, which goes on from the notes on disk.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem/overlay/accept"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// An Engine holds the hosts of all kinds and does one thing at a time per
// environment.
type Engine struct {
	hosts map[string]kinds.Host
	log   *slog.Logger

	mu     sync.Mutex
	turns  map[string]*turn       // by environment id
	alarms map[string]*time.Timer // likewise: when their time is over
	closed bool
	phases map[string]*phases // likewise

	last state.Memo
}

// NewEngine returns an engine for these hosts, by kind.
func NewEngine(hosts map[string]kinds.Host, log *slog.Logger) *Engine {
	return &Engine{hosts: hosts, log: log, turns: map[string]*turn{}, alarms: map[string]*time.Timer{}, phases: map[string]*phases{}}
}

func (e *Engine) owners() apply.Owners {
	o := apply.Owners{}
	for name, h := range e.hosts {
		o[name] = h
	}
	return o
}

// Look recovers what a dead apply left and reads the records and the host. While
// somebody changes the environment it waits only if the caller wants that; else
// the answer is the last committed generation, and who is at it. What is only there as
// no daemon was when its time was over is destroyed first.
func (e *Engine) Look(ctx context.Context, p wire.LookParams, tell func(wire.Event)) (wire.LookResult, error) {
	if e.overdue(p.Env) {
		if err := e.expire(context.WithoutCancel(ctx), p.Env, tell); err != nil {
			return wire.LookResult{}, fmt.Errorf("destroy what is there too long: %w", err)
		}
	}
	return e.look(ctx, p, tell)
}

func (e *Engine) look(ctx context.Context, p wire.LookParams, tell func(wire.Event)) (wire.LookResult, error) {
	st, calm, done, lerr := e.see(p.Env)
	var recovered bool
	var err error
	if p.Wait > 0 || !calm || !quiet(p.Env, st, lerr) {
		done()
		if recovered, err = e.recover(ctx, p.Env, p.Caller, tell); err != nil && !errors.Is(err, state.ErrLocked) {
			return wire.LookResult{}, err
		}
		st, calm, done, lerr = e.see(p.Env)
	}
	defer done()
	if lerr != nil {
		return wire.LookResult{}, lerr
	}
	res := wire.LookResult{Expires: e.expiry(p.Env), Phases: e.phasesOf(p.Env), Lineage: st.Lineage, Serial: st.Serial, Keep: st.Keep, Recorded: st.Objects, Recovered: recovered}
	if st.Serial == 0 {
		res.Assumed = p.Env.Assumed()
	}
	if !calm || err != nil {
		h := busy(p.Env)
		res.Busy, res.Observed = &h, st.Objects
		return res, nil
	}
	if p.Records {
		return res, nil
	}
	if p.Blind {
		res.Observed = st.Objects
	} else if res.Observed, err = apply.Observe(ctx, p.Env, e.owners()); err != nil {
		return wire.LookResult{}, err
	}
	res.Witnessed = e.witnessed(ctx, p.Env, st, res.Observed)
	if desired, known := p.Whole(st.Lineage, st.Serial, st.Objects); p.Check && known {
		res.Problems, err = e.check(ctx, p.Env, desired)
	}
	return res, err
}

// see reads the records while nobody changes the environment, until done is called. If
// somebody does, they are those of the last committed generation.
func (e *Engine) see(env state.Env) (st state.State, calm bool, done func(), err error) {
	done, calm = e.turn(env).observe()
	if !calm {
		done = func() {}
	}
	st, err = e.last.Load(env)
	return st, calm, done, err
}

// check asks every kind what of desired this host can't enforce.
func (e *Engine) check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	var all []kinds.Problem
	for name, h := range e.hosts {
		c, ok := h.(kinds.Checker)
		if !ok {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(desired), func(o plan.Object) bool { return o.Kind() != name })
		ps, err := c.Check(ctx, env, own)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", name, err)
		}
		all = append(all, ps...)
	}
	slices.SortFunc(all, func(a, b kinds.Problem) int { return strings.Compare(a.Addr+a.Item, b.Addr+b.Item) })
	return all, nil
}

// recover finishes a dead transaction if there is one. A running one, whose journal
// looks the same, is waited for as long as the caller wants.
func (e *Engine) recover(ctx context.Context, env state.Env, by wire.Caller, tell func(wire.Event)) (bool, error) {
	st, err := env.Load()
	if by.Wait == 0 && quiet(env, st, err) {
		return false, nil
	}
	release, err := e.acquire(ctx, env, by, tell)
	if err != nil {
		return false, err
	}
	defer release()
	if st, err = env.Load(); quiet(env, st, err) {
		return false, nil
	}
	return e.recoverLocked(ctx, env, tell)
}

func (e *Engine) recoverLocked(ctx context.Context, env state.Env, tell func(wire.Event)) (bool, error) {
	if err := e.own(ctx, env, tell); err != nil {
		return false, err
	}
	if err := e.thawLeft(ctx, env); err != nil { // or what is saved next would be of who knows when
		return false, err
	}
	if err := e.takeOn(ctx, env); err != nil {
		return false, err
	}
	owners, err := e.undoers(env)
	if err != nil {
		return false, err
	}
	did, err := apply.Recover(context.WithoutCancel(ctx), env, owners, forward(tell))
	if err != nil {
		return did, err
	}
	if did {
		tell(wire.Event{Phase: "recovered", Message: "an earlier command died while it changed " + env.Name + ": finished or taken back"})
	}
	if left(env) { // removed, and the lock file with it
		return true, e.settle(ctx, env)
	}
	if did {
		err = e.settle(ctx, env)
	}
	return did, err
}

// quiet reports whether there is nothing to recover: nobody died while he changed the
// environment, which these are the records of, if they can be read.
func quiet(env state.Env, st state.State, err error) bool {
	return !accept.Under(env.Dir) && !env.Dirty() && (err != nil || !remains(env, st)) && env.Settled() && !frozen(env)
}

// left is remains, by the records as they are now.
func left(env state.Env) bool {
	st, err := env.Load()
	return err == nil && remains(env, st)
}

// remains reports whether an environment that isn't there still has a folder: the
// process that destroyed it died before it had removed the last traces, or the one
// that was to make it before the first. An orphan has one until it is destroyed,
// whatever is on record.
func remains(env state.Env, st state.State) bool {
	if len(st.Objects) > 0 {
		return false
	}
	if env.Orphaned() {
		return st.Serial > 0
	}
	_, err := os.Lstat(env.Run)
	return st.Serial > 0 || err == nil || env.Husk()
}

// Apply carries out a plan.
// What it has begun when ctx ends it takes back; when stop ends, the next command
// does.
func (e *Engine) Apply(ctx, stop context.Context, p wire.ApplyParams, tell func(wire.Event)) (wire.ApplyResult, error) {
	var none wire.ApplyResult
	release, err := e.acquire(ctx, p.Env, p.Caller, tell)
	if err != nil {
		return none, err
	}
	defer func() { release() }()
	did, err := e.recoverLocked(ctx, p.Env, tell)
	if err != nil {
		return none, err
	}
	if did { // it may have removed the state folder and the lock file with it
		release()
		if release, err = e.acquire(ctx, p.Env, p.Caller, tell); err != nil {
			release = func() {}
			return none, err
		}
	}
	st, err := p.Env.Load()
	if err == nil {
		err = admit(p, st)
	}
	if err != nil {
		return none, err
	}
	if p.Plan.Lineage == "" {
		p.Plan.Lineage = state.NewLineage() // the claim says it, too
	}
	if err := claim(p.Env, p.Plan, st); err != nil {
		return none, err
	}
	e.begin(p)
	defer e.over(p.Env)
	runErr := e.carryOut(ctx, stop, p, e.following(p, tell))
	if err := e.settle(context.WithoutCancel(ctx), p.Env); err != nil && runErr == nil {
		runErr = err
		if left(p.Env) { // a part of what is destroyed
			runErr = &apply.IncompleteError{Err: err}
		}
	}
	return wire.ApplyResult{Serial: p.Plan.Serial + 1}, runErr
}

// admit refuses a plan that is of another state, or for an environment that stands still.
func admit(p wire.ApplyParams, st state.State) error {
	if p.Plan.Env != p.Env.Name || p.Plan.Version != plan.FormatVersion || p.Plan.Serial != st.Serial || p.Plan.Lineage != st.Lineage {
		return &wire.Error{Code: wire.CodeStale, Message: fmt.Sprintf("the plan was made for serial %d of %q, the state is at serial %d: plan again", p.Plan.Serial, p.Plan.Env, st.Serial)}
	}
	if p.Plan.Mode == plan.Destroy {
		return nil
	}
	return held(p.Env)
}

// carryOut does what is left to do when the claim is made.
func (e *Engine) carryOut(ctx, stop context.Context, p wire.ApplyParams, tell func(wire.Event)) error {
	if p.Secrets.Key != nil {
		if err := p.Env.KeepKey(p.Secrets.Key); err != nil {
			return err
		}
	}
	ctx = kinds.WithLogins(kinds.WithSecrets(ctx, p.Secrets.Hidden()), p.Secrets.Known())
	ctx = kinds.WithProgress(ctx, func(m string) { tell(wire.Event{Phase: "progress", Message: m}) })
	ctx = kinds.WithPassed(ctx, func(addr string, took time.Duration) {
		tell(wire.Event{Phase: wire.Passed, Addr: addr, Message: fmt.Sprintf("%.1fs", took.Seconds())})
	})
	return apply.Run(ctx, p.Env, p.Plan, e.owners(), apply.Options{
		Tell: forward(tell), KeepPartial: p.KeepPartial, Stop: stop,
		Gate: func(ctx context.Context) error { return e.gate(ctx, p.Env, p.Plan.Desired) },
	})
}

// gate lets the watchers follow and asks every kind whether what was applied may be
// kept. All say what is wrong.
func (e *Engine) gate(ctx context.Context, env state.Env, desired []plan.Object) error {
	e.enter(env, state.Syncing, "")
	if err := e.sync(ctx, env); err != nil {
		return err
	}
	e.enter(env, state.Checking, "")
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.hosts)) {
		if g, ok := e.hosts[name].(kinds.Gater); ok {
			errs = append(errs, g.Gate(ctx, env, desired))
		}
	}
	return errors.Join(errs...)
}

// sync lets the watchers follow what the notes say.
func (e *Engine) sync(ctx context.Context, env state.Env) error {
	var errs []error
	for name, h := range e.hosts {
		if w, ok := h.(kinds.Watcher); ok {
			if err := w.Sync(ctx, env); err != nil {
				errs = append(errs, fmt.Errorf("watch %s: %w", name, err))
			}
		}
	}
	e.arm(env) //nolint:contextcheck // an alarm outlives the command
	return errors.Join(errs...)
}

// settle lets the watchers follow, and removes the last traces of an
// environment that has nothing left.
func (e *Engine) settle(ctx context.Context, env state.Env) error {
	if err := e.sync(ctx, env); err != nil {
		return err
	}
	st, err := env.Load()
	if err != nil || len(st.Objects) > 0 {
		return err
	}
	if tx, err := env.Unfinished(); tx != nil || err != nil {
		return err
	}
	now, err := apply.Observe(ctx, env, e.owners())
	if err != nil || len(now) > 0 {
		return err
	}
	if env.Orphaned() { // its records are in the run folder, and not to go in any order
		if err := env.Forget(); err != nil {
			return err
		}
	}
	if err := removeRun(env.Run); err != nil {
		return err
	}
	return env.Forget()
}

// removeRun deletes a run folder, but never through a mount: what is mounted
// there may be data.
func removeRun(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			return fmt.Errorf("%s is still mounted", f[4])
		}
	}
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range es {
		if d.Name() == state.ClaimFile { // last, as by it the next daemon finds the rest
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, d.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// flushTime bounds how long a command that is over waits for its denials.
const flushTime = 2 * time.Second

// Flush returns when what was denied in an environment until now is on record.
func (e *Engine) Flush(ctx context.Context, env state.Env) error {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	var errs []error
	for _, h := range e.hosts {
		if f, ok := h.(kinds.Flusher); ok {
			errs = append(errs, f.Flush(ctx, env))
		}
	}
	return errors.Join(errs...)
}

// Wait returns when nothing is being applied, or ctx ends.
func (e *Engine) Wait(ctx context.Context) {
	e.mu.Lock()
	turns := slices.Collect(maps.Values(e.turns))
	e.mu.Unlock()
	for _, t := range turns {
		if release, ok := t.take(ctx); ok { // having had it is the point
			release()
		}
	}
}

// Close ends the watchers. Sandboxes stay up.
func (e *Engine) Close() error {
	e.disarm()
	var errs []error
	for _, h := range e.hosts {
		if w, ok := h.(kinds.Watcher); ok {
			errs = append(errs, w.Close())
		}
	}
	return errors.Join(errs...)
}

func forward(tell func(wire.Event)) func(apply.Event) {
	return func(ev apply.Event) {
		tell(wire.Event{Phase: string(ev.Phase), Addr: ev.Addr, Message: ev.Error})
	}
}
