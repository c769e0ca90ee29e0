// Package apply makes the changes of a plan, in order, and takes them all back
// if one fails or the process dies. Rollback, undo and crash recovery are one
// function: it applies the begun changes reversed, last first.
//
// The life of a transaction:
//
//	Begin ─ Doing 0 ─ Apply ─ Doing 1 ─ Apply ─ … ─ Gate ─ state.json renamed ─ Commit each ─ journal removed
//	          └──────── fails or dies ──────────────┘      = THE COMMIT POINT      └─ dies: next command goes on
//	                     └─ Apply reversed, last first ─ "undone" ─ Commit each reversed ─ journal removed
package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

// An Owner looks after the objects of one kind. See kinds.Host for the contract.
type Owner interface {
	Observe(ctx context.Context, env state.Env) ([]plan.Object, error)
	Apply(ctx context.Context, env state.Env, c plan.Change) error
}

// A Committer is an Owner that keeps things for the undo until a change is final.
type Committer interface {
	Commit(ctx context.Context, env state.Env, c plan.Change) error
}

// A Pruner is an Owner of data that generations of the history refer to.
type Pruner interface {
	Prune(ctx context.Context, env state.Env) error
}

// A Knower is an Owner that can tell which objects it has ever heard of. Without it all of
// its kind count.
type Knower interface {
	Knows(addr string) bool
}

// Owners maps the kind of an address to its owner.
type Owners map[string]Owner

// know returns an *UnknownError about the first step that nobody could carry out: whoever
// began with it could not take it back, either.
func (o Owners) know(p plan.Plan) error {
	for _, s := range p.Steps {
		k, ok := o[s.Kind()].(Knower)
		if o[s.Kind()] == nil || ok && !k.Knows(s.Addr) {
			return &UnknownError{s.Addr}
		}
	}
	return nil
}

// An UnknownError is an object that this Blast doesn't have. Nothing was changed.
type UnknownError struct{ Addr string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%q is no object that this Blast has: use the one that recorded it", e.Addr)
}

// An Event tells what a transaction is doing.
type Event struct {
	Phase Phase  `json:"phase"`
	Addr  string `json:"addr,omitempty"`
	Error string `json:"error,omitempty"`
}

// Phase is a point in the life of a transaction.
type Phase string

// The phases, in the order in which they can be seen.
const (
	Doing     Phase = "doing"
	Done      Phase = "done"
	Gating    Phase = "gating" // all is applied, and checked before it counts
	Failed    Phase = "failed"
	Undoing   Phase = "undoing"
	UndoneOne Phase = "undone"
	Committed Phase = "committed"
)

// Options say how a transaction is carried out. The zero value is the usual way.
type Options struct {
	// Tell hears what happens.
	Tell func(Event)
	// Gate has the last word before the commit point: its error takes everything
	// back. It is asked when there is something to keep.
	Gate func(ctx context.Context) error
	// KeepPartial commits what was done when a change fails, instead of taking it
	// back. Only the change that failed is undone.
	KeepPartial bool
	// Stop ends an undo, too, when it is done: the journal stays for the next
	// command. Nil never does.
	Stop context.Context //nolint:containedctx // a second cancel, beside that of the call
}

func (o Options) tell(ev Event) {
	if o.Tell != nil {
		o.Tell(ev)
	}
}

// undoing returns the context of an undo. Cancelling an apply must not cancel that;
// Stop does.
func (o Options) undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if o.Stop != nil {
		stop := context.AfterFunc(o.Stop, cancel)
		return ctx, func() { stop(); cancel() }
	}
	return ctx, cancel
}

// RolledBackError is a failed apply that left everything as it was.
type RolledBackError struct {
	Addr   string // the change that failed
	Undone int    // changes that were taken back
	Err    error
}

func (e *RolledBackError) Error() string { return fmt.Sprintf("%s: %v", e.Addr, e.Err) }

// Unwrap returns why the apply failed.
func (e *RolledBackError) Unwrap() error { return e.Err }

// PartialError is a failed apply of which a part was kept, as Options.KeepPartial
// asks.
type PartialError struct {
	Addr string // the change that failed
	Kept int    // changes that were kept
	Err  error
}

func (e *PartialError) Error() string { return fmt.Sprintf("%s: %v", e.Addr, e.Err) }

// Unwrap returns why the apply failed.
func (e *PartialError) Unwrap() error { return e.Err }

// IncompleteError is a transaction that neither went through nor could be taken
// back entirely. The journal stays, and the next command goes on with it.
type IncompleteError struct {
	Cause error // why the apply failed; nil after a crash or when only cleaning up failed
	Err   error // why the undo or the clean-up failed
}

func (e *IncompleteError) Error() string {
	if e.Cause == nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; and then: %v", e.Cause, e.Err)
}

// Unwrap returns both causes.
func (e *IncompleteError) Unwrap() []error { return []error{e.Cause, e.Err} }

// A GoneError says why an object can't be made what it was: what it stood on has ended
// by itself, and the object with it. As the failure of an undo that is accepted: the
// next plan shows the object as missing.
type GoneError struct{ Err error }

func (e *GoneError) Error() string { return e.Err.Error() }

// Unwrap returns what is gone.
func (e *GoneError) Unwrap() error { return e.Err }

// Observe asks every owner what is there.
func Observe(ctx context.Context, env state.Env, owners Owners) ([]plan.Object, error) {
	var now []plan.Object
	for _, kind := range slices.Sorted(maps.Keys(owners)) {
		objs, err := owners[kind].Observe(ctx, env)
		if err != nil {
			return nil, fmt.Errorf("observe %s: %w", kind, err)
		}
		now = append(now, objs...)
	}
	return now, nil
}

// Run makes the changes of p. Without an error everything of p is done; after a
// *RolledBackError nothing is; after a *PartialError a part, on record; after an
// *IncompleteError Recover has work left.
func Run(ctx context.Context, env state.Env, p plan.Plan, owners Owners, opts Options) error {
	if err := owners.know(p); err != nil { // the records may be another version's
		return fmt.Errorf("%w, or forget it with blast state rm", err)
	}
	tx, err := env.Begin(p)
	if err != nil {
		return err
	}
	r := run{env, tx, owners, opts}
	for i, s := range p.Steps {
		if err := r.step(ctx, i); err != nil {
			opts.tell(Event{Failed, s.Addr, err.Error()})
			if opts.KeepPartial {
				return r.keep(ctx, s.Addr, err)
			}
			return r.takeBack(ctx, s.Addr, err)
		}
	}
	if err := r.gate(ctx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		opts.tell(Event{Failed, stateName, err.Error()})
		return r.takeBack(ctx, stateName, err)
	}
	opts.tell(Event{Phase: Committed})
	ctx, cancel := opts.undoing(ctx)
	defer cancel()
	if err := r.finish(ctx); err != nil {
		return &IncompleteError{Err: err}
	}
	return nil
}

// run is one transaction under way.
type run struct {
	env    state.Env
	tx     *state.Tx
	owners Owners
	opts   Options
}

func (r run) step(ctx context.Context, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.tx.Doing(i); err != nil {
		return err
	}
	c := r.tx.Plan.Steps[i].Change
	r.opts.tell(Event{Phase: Doing, Addr: c.Addr})
	if err := r.owners[c.Kind()].Apply(ctx, r.env, c); err != nil {
		return err
	}
	r.opts.tell(Event{Phase: Done, Addr: c.Addr})
	return nil
}

// stateName stands for the commit where an address does for a change.
const stateName = "state.json"

// gateName stands for the gate where an address does for a change.
const gateName = "check"

// gate asks whether what was applied may be kept. If not, it is taken back, or kept
// and the failure told.
func (r run) gate(ctx context.Context) error {
	if r.opts.Gate == nil || len(r.tx.Plan.Desired) == 0 {
		return nil
	}
	r.opts.tell(Event{Phase: Gating})
	err := r.opts.Gate(ctx)
	if err == nil {
		err = ctx.Err() // what was cancelled meanwhile must not be committed
	}
	if err == nil {
		return nil
	}
	r.opts.tell(Event{Failed, gateName, err.Error()})
	if r.opts.KeepPartial {
		return r.keep(ctx, gateName, err)
	}
	return r.takeBack(ctx, gateName, err)
}

// takeBack rolls back after cause.
func (r run) takeBack(ctx context.Context, addr string, cause error) error {
	ctx, cancel := r.opts.undoing(ctx)
	defer cancel()
	n := r.tx.Begun
	if err := r.finish(ctx); err != nil {
		return &IncompleteError{Cause: fmt.Errorf("%s: %w", addr, cause), Err: err}
	}
	return &RolledBackError{Addr: addr, Undone: n, Err: cause}
}

// keep commits what was done before cause. The change that failed is taken back
// first, so that each object is as it was or as it should be.
func (r run) keep(ctx context.Context, addr string, cause error) error {
	ctx, cancel := r.opts.undoing(ctx)
	defer cancel()
	done := r.tx.Begun
	if done > 0 && r.tx.Plan.Steps[done-1].Addr == addr {
		done--
		if err := r.undoAll(ctx, r.tx.Plan.Changes()[done:done+1]); err != nil {
			return &IncompleteError{Cause: fmt.Errorf("%s: %w", addr, cause), Err: err}
		}
	}
	if done == 0 {
		return r.takeBack(ctx, addr, cause)
	}
	if err := r.tx.CommitPart(done); err != nil {
		r.opts.tell(Event{Failed, stateName, err.Error()})
		return r.takeBack(ctx, addr, errors.Join(cause, err))
	}
	r.opts.tell(Event{Phase: Committed})
	if err := r.finish(ctx); err != nil {
		return &IncompleteError{Cause: fmt.Errorf("%s: %w", addr, cause), Err: err}
	}
	return &PartialError{Addr: addr, Kept: done, Err: cause}
}

// Recover finishes what a dead process or a failed undo left behind, and reports
// whether there was anything. Every command calls it first, under the lock.
func Recover(ctx context.Context, env state.Env, owners Owners, tell func(Event)) (bool, error) {
	tx, err := env.Unfinished()
	if tx == nil || err != nil {
		return false, err
	}
	if err := owners.know(tx.Plan); err != nil {
		return true, fmt.Errorf("finish what a dead command left: %w", err)
	}
	if err := (run{env, tx, owners, Options{Tell: tell}}).finish(ctx); err != nil {
		return true, &IncompleteError{Err: err}
	}
	return true, nil
}

// Clear takes back an apply of which only the addresses are known, as its journal and all
// other records are lost. If it dies or fails, Recover goes on.
func Clear(ctx context.Context, env state.Env, addrs []string, owners Owners) error {
	p := plan.Plan{Version: plan.FormatVersion, Mode: plan.Destroy, Env: env.Name}
	for _, a := range addrs {
		p.Steps = append(p.Steps, plan.Step{Change: plan.Change{Addr: a}, Action: plan.Delete})
	}
	if err := owners.know(p); err != nil {
		return err
	}
	tx, err := env.Begin(p)
	if err != nil {
		return err
	}
	for i := range p.Steps {
		if err := tx.Doing(i); err != nil {
			return err
		}
	}
	return run{env, tx, owners, Options{}}.finish(ctx)
}

// finish brings a transaction to its end: forwards if it was committed, else
// backwards. It goes on after a failure and then keeps the journal, so that the
// next command can try again.
func (r run) finish(ctx context.Context) error {
	if !r.tx.Committed && !r.tx.Undone {
		if err := r.undoAll(ctx, r.tx.Plan.Changes()[:r.tx.Begun]); err != nil {
			return err
		}
		if err := r.tx.Rolled(); err != nil {
			return err
		}
	}
	var errs []error
	for _, c := range over(r.tx) {
		if co, ok := r.owners[c.Kind()].(Committer); ok {
			if err := co.Commit(ctx, r.env, c); err != nil {
				errs = append(errs, fmt.Errorf("clean up after %s: %w", c.Addr, err))
			}
		}
	}
	errs = append(errs, r.retire(ctx))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return r.tx.Close()
}

// retire drops the generations that the history has no room for any more.
func (r run) retire(ctx context.Context) error {
	if err := r.tx.Retire(); err != nil {
		return err
	}
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(r.owners)) {
		if p, ok := r.owners[kind].(Pruner); ok {
			if err := p.Prune(ctx, r.env); err != nil {
				errs = append(errs, fmt.Errorf("clean up %s: %w", kind, err))
			}
		}
	}
	return errors.Join(errs...)
}

// undoAll reverses changes, last first. What fails is tried once more when the others are
// back, as it may stand on one of them.
func (r run) undoAll(ctx context.Context, cs []plan.Change) error {
	var again []plan.Change
	for _, c := range slices.Backward(cs) {
		if r.undo(ctx, c) != nil {
			again = append(again, c)
		}
	}
	var errs []error
	for _, c := range again {
		err := r.undo(ctx, c)
		if gone := (*GoneError)(nil); errors.As(err, &gone) {
			r.opts.tell(Event{Phase: UndoneOne, Addr: c.Addr})
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r run) undo(ctx context.Context, c plan.Change) error {
	r.opts.tell(Event{Phase: Undoing, Addr: c.Addr})
	err := ctx.Err()
	if r.opts.Stop != nil && err == nil {
		err = r.opts.Stop.Err()
	}
	if err == nil {
		err = r.owners[c.Kind()].Apply(ctx, r.env, c.Reverse())
	}
	if err != nil {
		return fmt.Errorf("undo %s: %w", c.Addr, err)
	}
	r.opts.tell(Event{Phase: UndoneOne, Addr: c.Addr})
	return nil
}

// over are the changes that are final: what was kept, as it was planned; what was
// taken back, reversed and last first.
func over(tx *state.Tx) []plan.Change {
	all := tx.Plan.Changes()
	kept, begun := tx.Kept, tx.Begun
	if !tx.Committed {
		kept = 0
	}
	out := slices.Clone(all[:kept])
	for _, c := range slices.Backward(all[kept:max(kept, begun)]) {
		out = append(out, c.Reverse())
	}
	return out
}
