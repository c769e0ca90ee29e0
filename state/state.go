package state

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view/shellword"
	"blast.example/blast/state/backend"
)

const stateName = "state.json"

// DefaultKeep is how many generations are kept where blast.hcl doesn't say.
const DefaultKeep = 10

// A State is what was true after the last successful apply: a generation.
type State struct {
	Env     string        // name of the environment
	ID      string        // what its things on the host are called by: Env.ID
	Lineage string        // made up at the first apply; two states with different lineages have nothing in common
	Serial  uint64        // one more with each commit; 0 is an environment never applied
	Keep    int           // generations that are kept, this one among them
	Origin  Origin        // how it came about
	Objects []plan.Object // in the order in which they were applied
}

// Origin says how a generation came about. It explains, and nothing depends on it.
type Origin struct {
	Mode    plan.Mode   `json:"mode"`         // of the plan; "edit" for blast state rm and the like
	Of      string      `json:"of,omitempty"` // the generation or snapshot of a rollback or load
	Time    time.Time   `json:"time"`
	UID     int         `json:"uid"` // the person on whose behalf
	Counts  plan.Counts `json:"counts"`
	What    []string    `json:"what,omitempty"`    // what changed, in short
	Partial bool        `json:"partial,omitempty"` // an apply failed, and what it had done was kept
}

// Edit is the mode of a generation that was made by hand.
const Edit plan.Mode = "edit"

// Load reads the recorded state. An environment never applied has serial 0. A
// file that is there but empty, short or of an unknown version is an error: it
// is never taken for "no state". Nor is one that is gone while generations of it are
// there.
func (e Env) Load() (State, error) {
	s, _, err := e.load(stateName)
	if errors.Is(err, backend.ErrNotFound) {
		return State{Env: e.Name, ID: e.ID, Keep: DefaultKeep}, e.lost()
	}
	return s, err
}

// A Memo knows the state that was read last, to read it again in a fraction of the
// time. It may be used by several goroutines. What it returns is shared: nobody changes
// the objects.
type Memo struct {
	mu      sync.Mutex
	env     Env
	version backend.Version
	state   State
}

// Load is Env.Load.
func (m *Memo) Load(e Env) (State, error) {
	b, v, err := e.store().Get(stateName)
	if err != nil {
		return e.Load()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.env == e && m.version == v {
		return m.state, nil
	}
	s, err := e.decode(stateName, b)
	if err == nil {
		m.env, m.version, m.state = e, v, s
	}
	return s, err
}

func (e Env) load(name string) (State, backend.Version, error) {
	b, v, err := e.store().Get(name)
	if err != nil {
		return State{}, "", fmt.Errorf("read state: %w", err)
	}
	s, err := e.decode(name, b)
	return s, v, err
}

func (e Env) decode(name string, b []byte) (State, error) {
	s, err := Decode(b)
	if err != nil {
		return State{}, e.corrupt(name, err)
	}
	if s.ID == "" {
		s.ID = e.ID
	}
	return s, nil
}

// A CorruptError is a state or journal that can't be read. Nothing is changed
// while there is one.
type CorruptError struct {
	Path string
	Err  error
	Fix  string
}

func (e *CorruptError) Error() string {
	if errors.Is(e.Err, errNewer) {
		return fmt.Sprintf("%s %v: use that one", e.Path, e.Err)
	}
	return fmt.Sprintf("%s is damaged: %v; %s", e.Path, e.Err, e.Fix)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// corrupt says what to do about a state, or a record of the history, that is wrong.
func (e Env) corrupt(name string, err error) error {
	c := &CorruptError{Path: e.recordPath(name), Err: err, Fix: "remove it: nobody can go back to that generation"}
	if name != stateName {
		return c
	}
	c.Fix = "remove it to start anew: what is up is taken over by the next blast apply, or ended by blast destroy"
	if last := e.lastGood(); last != "" {
		c.Fix = fmt.Sprintf("put the last generation in its place: cp %s %s", shellword.Quote(last), shellword.Quote(c.Path))
	}
	return c
}

// lastGood is the path of the latest generation in the history that can be read.
func (e Env) lastGood() string {
	ns, _ := e.serials() // what can't be read is no generation
	for _, n := range slices.Backward(ns) {
		if b, _, err := e.store().Get(generationName(n)); err == nil {
			if _, err := Decode(b); err == nil {
				return e.recordPath(generationName(n))
			}
		}
	}
	return ""
}

var errLost = errors.New("it is gone, and generations of it are there")

// lost is an error if there was a state: only that of an environment that was never
// applied may be missing. The first apply writes its generation before, and has a journal.
func (e Env) lost() error {
	ns, err := e.serials()
	if err != nil || len(ns) == 0 {
		return err
	}
	if p, err := e.beginning(); err == nil && p.Plan != nil && p.Plan.Serial == 0 {
		return nil
	}
	return e.corrupt(stateName, errLost)
}

// save makes s the state, if was is still the serial that is recorded. The
// generation goes into the history first, which doesn't count. The second write is
// the commit point.
func (e Env) save(s State, was uint64) error {
	if err := s.check(); err != nil {
		return err
	}
	b, err := Encode(s)
	if err != nil {
		return err
	}
	old, version, err := e.load(stateName)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return err
	}
	if old.Serial != was {
		return fmt.Errorf("%w: it is at serial %d, not %d", backend.ErrConflict, old.Serial, was)
	}
	if err := e.remember(s.Serial, b); err != nil {
		return err
	}
	if err := e.store().Put(stateName, b, version); err != nil && !e.reads(stateName, b) {
		return err
	}
	return nil
}

// reads reports whether a record holds b, for who reads it. A write that failed may have
// been done all the same, as when the disk fails while the folder is synced after it:
// then it counts, as everybody goes by what they read.
func (e Env) reads(name string, b []byte) bool {
	now, _, err := e.store().Get(name)
	return err == nil && bytes.Equal(now, b)
}

// NewLineage returns 32 random hex digits.
func NewLineage() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
