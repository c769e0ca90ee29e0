package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/state/backend"
)

// ErrLocked means that another process changes the environment right now.
var ErrLocked = backend.ErrLocked

// Lock takes the environment's lock for a command and returns what gives it back. It
// never waits. client is the pid of the command where that is another process, or 0.
// There is none of an orphan that has ended: it would bring a run folder back.
func (e Env) Lock(command string, client int) (unlock func(), err error) {
	if e.Orphaned() {
		c, err := e.readClaim()
		if err == nil {
			err = c.orphaned(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return e.store().Lock(backend.Myself(NewLineage()[:8], command, client))
}

// lockPoll is how often a lock of another process is tried. Nothing tells when flock(2)
// would succeed, and a call that waits can't be told to stop.
const lockPoll = 50 * time.Millisecond

// LockWithin is Lock that waits until another process has given the lock back, for at
// most that long.
func (e Env) LockWithin(ctx context.Context, command string, client int, wait time.Duration) (unlock func(), err error) {
	for end := time.Now().Add(wait); ; {
		unlock, err = e.Lock(command, client)
		if !errors.Is(err, ErrLocked) || time.Now().After(end) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// Holder says who changes the environment right now; nil is nobody.
func (e Env) Holder() (*backend.Holder, error) { return e.store().Holder() }

// BreakLock frees the lock of a dead holder. See backend.Store.
func (e Env) BreakLock(id string) error {
	if err := e.store().Break(id); err != nil {
		return fmt.Errorf("force-unlock: %w", err)
	}
	return nil
}
