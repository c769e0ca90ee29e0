package state

import (
	"fmt"

	"blast.example/blast/state/backend"
)

// ErrLocked means that another process changes the environment right now.
var ErrLocked = backend.ErrLocked

// Lock takes the environment's lock for a command and returns what gives it back. It
// never waits. client is the pid of the command where that is another process, or 0.
func (e Env) Lock(command string, client int) (unlock func(), err error) {
	return e.store().Lock(backend.Myself(NewLineage()[:8], command, client))
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
