// Package apply makes the changes of a plan, in order, and takes them all back
// if one fails or the process dies. Rollback, undo and crash recovery are one
// function: it applies the begun changes reversed, last first.
//
// The life of a transaction:
//
//	Begin ─ Doing 0 ─ Apply ─ Doing 1 ─ Apply ─ … ─ state.json renamed ─ Commit each ─ journal removed
//	          └──────── fails or dies ────────┘       = THE COMMIT POINT      └─ dies: next command goes on
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

// Owners maps the kind of an address to its owner.
type Owners map[string]Owner

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
	Failed    Phase = "failed"
	Undoing   Phase = "undoing"
	UndoneOne Phase = "undone"
	Committed Phase = "committed"
)

// RolledBackError is a failed apply that left everything as it was.
type RolledBackError struct {
	Addr   string // the change that failed
	Undone int    // changes that were taken back
	Err    error
}

func (e *RolledBackError) Error() string { return fmt.Sprintf("%s: %v", e.Addr, e.Err) }

// Unwrap returns why the apply failed.
func (e *RolledBackError) Unwrap() error { return e.Err }

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
// *RolledBackError nothing is; after an *IncompleteError Recover has work left.
func Run(ctx context.Context, env state.Env, p plan.Plan, owners Owners, tell func(Event)) error {
	for _, s := range p.Steps { // a plan of another version may name kinds that are not here
		if owners[s.Kind()] == nil {
			return fmt.Errorf("%s: no such kind", s.Addr)
		}
	}
	tx, err := env.Begin(p)
	if err != nil {
		return err
	}
	for i, s := range p.Steps {
		if err := step(ctx, env, tx, i, owners, tell); err != nil {
			tell(Event{Failed, s.Addr, err.Error()})
			return takeBack(ctx, env, tx, owners, tell, s.Addr, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return takeBack(ctx, env, tx, owners, tell, "state.json", err)
	}
	tell(Event{Phase: Committed})
	return finish(context.WithoutCancel(ctx), env, tx, owners, nil)
}

func step(ctx context.Context, env state.Env, tx *state.Tx, i int, owners Owners, tell func(Event)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := tx.Doing(i); err != nil {
		return err
	}
	c := tx.Plan.Steps[i].Change
	tell(Event{Phase: Doing, Addr: c.Addr})
	if err := owners[c.Kind()].Apply(ctx, env, c); err != nil {
		return err
	}
	tell(Event{Phase: Done, Addr: c.Addr})
	return nil
}

// takeBack rolls back after cause. Cancelling an apply must not cancel its undo.
func takeBack(ctx context.Context, env state.Env, tx *state.Tx, owners Owners, tell func(Event), addr string, cause error) error {
	n := tx.Begun
	if err := finish(context.WithoutCancel(ctx), env, tx, owners, tell); err != nil {
		return &IncompleteError{Cause: fmt.Errorf("%s: %w", addr, cause), Err: err}
	}
	return &RolledBackError{Addr: addr, Undone: n, Err: cause}
}

// Recover finishes what a dead process or a failed undo left behind, and reports
// whether there was anything. Every command calls it first, under the lock.
func Recover(ctx context.Context, env state.Env, owners Owners, tell func(Event)) (bool, error) {
	tx, err := env.Unfinished()
	if tx == nil || err != nil {
		return false, err
	}
	for _, s := range tx.Plan.Steps {
		if owners[s.Kind()] == nil {
			return true, fmt.Errorf("recover: %s: no such kind", s.Addr)
		}
	}
	if err := finish(ctx, env, tx, owners, tell); err != nil {
		return true, &IncompleteError{Err: err}
	}
	return true, nil
}

// finish brings a transaction to its end: forwards if it was committed, else
// backwards. It goes on after a failure and then keeps the journal, so that the
// next command can try again.
func finish(ctx context.Context, env state.Env, tx *state.Tx, owners Owners, tell func(Event)) error {
	if tell == nil {
		tell = func(Event) {}
	}
	var errs []error
	over := tx.Plan.Changes()
	if !tx.Committed {
		begun := over[:tx.Begun]
		if !tx.Undone {
			for _, c := range slices.Backward(begun) {
				tell(Event{Phase: Undoing, Addr: c.Addr})
				if err := owners[c.Kind()].Apply(ctx, env, c.Reverse()); err != nil {
					errs = append(errs, fmt.Errorf("undo %s: %w", c.Addr, err))
					continue
				}
				tell(Event{Phase: UndoneOne, Addr: c.Addr})
			}
			if len(errs) > 0 {
				return errors.Join(errs...)
			}
			if err := tx.Rolled(); err != nil {
				return err
			}
		}
		over = make([]plan.Change, 0, len(begun))
		for _, c := range slices.Backward(begun) {
			over = append(over, c.Reverse())
		}
	}
	for _, c := range over {
		if co, ok := owners[c.Kind()].(Committer); ok {
			if err := co.Commit(ctx, env, c); err != nil {
				errs = append(errs, fmt.Errorf("clean up after %s: %w", c.Addr, err))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return tx.Close()
}
