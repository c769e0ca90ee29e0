package daemon

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
	"blast.example/blast/state/backend"
)

// A turn orders what commands do to one environment: one changes it at a time, and
// nobody observes it meanwhile. Who only reads never waits: there is always a last
// committed generation.
type turn struct {
	change *semaphore.Weighted // held by who changes it
	calm   sync.RWMutex        // read-locked by who observes it: that takes milliseconds
}

func newTurn() *turn { return &turn{change: semaphore.NewWeighted(1)} }

// take lets one command change the environment, when the observers are done. It waits
// for a running change as long as ctx lasts, and reports whether it got its turn.
func (t *turn) take(ctx context.Context) (release func(), ok bool) {
	if t.change.Acquire(ctx, 1) != nil {
		return nil, false
	}
	return t.calmly(), true
}

// tryTake is take without waiting for a running change.
func (t *turn) tryTake() (release func(), ok bool) {
	if !t.change.TryAcquire(1) {
		return nil, false
	}
	return t.calmly(), true
}

// calmly waits for the observers, and returns what ends the turn.
func (t *turn) calmly() (release func()) {
	t.calm.Lock()
	return func() {
		t.calm.Unlock()
		t.change.Release(1)
	}
}

// observe lets a command look at the host, unless it is being changed.
func (t *turn) observe() (release func(), ok bool) {
	if !t.calm.TryRLock() {
		return nil, false
	}
	return t.calm.RUnlock, true
}

func (e *Engine) turn(env state.Env) *turn {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.turns[env.ID]
	if t == nil {
		t = newTurn()
		e.turns[env.ID] = t
	}
	return t
}

// acquire takes the turn and the lock of an environment, waiting for a running change
// for as long as the caller wants.
func (e *Engine) acquire(ctx context.Context, env state.Env, by wire.Caller, tell func(wire.Event)) (release func(), err error) {
	t := e.turn(env)
	done, ok := t.tryTake()
	if !ok && by.Wait > 0 {
		tell(wire.Event{Phase: "progress", Message: "waiting for " + busy(env).String()})
		wctx, cancel := context.WithTimeout(ctx, by.Wait)
		defer cancel()
		done, ok = t.take(wctx)
	}
	if !ok {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &backend.LockedError{Holder: busy(env)}
	}
	unlock, err := env.LockWithin(ctx, by.Command, by.PID, by.Wait) // a command that edits the state has it, or another installation's daemon
	if err != nil {
		done()
		return nil, err
	}
	return func() { unlock(); done() }, nil
}

// busy says who changes the environment right now.
func busy(env state.Env) backend.Holder {
	if h, err := env.Holder(); err == nil && h != nil {
		return *h
	}
	return backend.Holder{} // it has begun this moment, or is just ending
}
