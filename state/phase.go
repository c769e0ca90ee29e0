package state

import "time"

// A Phase is what an environment was at for a time. It only tells: nothing is decided by
// it.
type Phase struct {
	Name   string    `json:"name"` // Initializing and so on, or a kind's own
	Begun  time.Time `json:"begun"`
	Ended  time.Time `json:"ended,omitzero"`   // zero: it goes on
	Detail string    `json:"detail,omitempty"` // why, of Failed
}

// Phases that are of no kind.
const (
	Initializing = "initializing" // the first apply begins
	Updating     = "updating"     // another one does
	Syncing      = "syncing"      // what runs besides follows what was applied
	Checking     = "checking"     // whether it may be kept
	Active       = "active"
	Frozen       = "frozen"
	Snapshotting = "snapshotting"
	Failed       = "error"
	Cleanup      = "cleanup" // what was begun is taken back, or all is removed
)

const phasesNote = "phases"

// MaxPhases is how many are kept: those of the last few applies.
const MaxPhases = 48

// Phases are the last ones of the environment, in order. What can't be read is none.
func (e Env) Phases() (all []Phase) {
	if _, err := e.ReadNote(phasesNote, &all); err != nil {
		return nil
	}
	return all
}

// KeepPhases replaces them.
func (e Env) KeepPhases(all []Phase) error {
	return e.WriteNote(phasesNote, all[max(0, len(all)-MaxPhases):])
}
