package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/state/backend/local"
)

// A Tx is one apply in progress. The journal holds one JSON value a line:
//
//	{"version":2,"id":"...","plan":{...}}   before anything is changed
//	{"doing":0}                  before change 0 is begun
//	{"doing":1}
//	{"kept":1}                   before a commit of the first change alone
//	{"undone":true}              after a rollback has reversed all begun changes
//
// and state.json with a serial above the plan's means that it was committed.
// Each line is synced before the act that it announces.
type Tx struct {
	Plan  plan.Plan
	Begun int // changes begun: these are reversed on failure

	// Committed means that state.json holds the result: what is left to do is
	// to drop what was kept for the undo. Undone means the same after a rollback.
	// Kept is how many changes a commit covers: all, or the first of them.
	Committed bool
	Undone    bool
	Kept      int

	env Env
	f   *os.File
}

type line struct {
	Version int        `json:"version,omitempty"`
	ID      string     `json:"id,omitempty"` // Env.ID, which no state has before the first commit
	Plan    *plan.Plan `json:"plan,omitempty"`
	Doing   *int       `json:"doing,omitempty"`
	Kept    *int       `json:"kept,omitempty"`
	Undone  bool       `json:"undone,omitempty"`
}

// ErrUnfinished is returned by Begin while the journal of another apply exists.
var ErrUnfinished = errors.New("another apply is unfinished")

// Begin writes the plan to the journal.
func (e Env) Begin(p plan.Plan) (*Tx, error) {
	if err := e.store().MakeDirs(); err != nil {
		return nil, err
	}
	if len(p.Desired) == 0 { // the last one: what it needs in other places may be scarce, too
		e.store().GiveReserve()
	}
	var f *os.File
	err := e.store().WithRoom(func() (err error) {
		f, err = os.OpenFile(e.journal(), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrUnfinished
	}
	if err != nil {
		return nil, fmt.Errorf("begin apply: %w", err)
	}
	tx := &Tx{env: e, Plan: p, f: f}
	err = tx.log(line{Version: Version, ID: e.ID, Plan: &p})
	if err == nil {
		err = local.SyncDir(e.Dir)
	}
	if err != nil { // a full disk: nothing was begun, so nothing may stay
		_ = f.Close()
		_ = os.Remove(e.journal())
		e.keepReserveIfUp() // which may have been given up in vain
		return nil, fmt.Errorf("begin apply: %w", err)
	}
	return tx, nil
}

// Doing notes that change i is about to be begun.
func (tx *Tx) Doing(i int) error {
	if err := tx.log(line{Doing: &i}); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	tx.Begun = i + 1
	return nil
}

// Commit records the plan's desired objects. When it returns without error the
// apply is final.
func (tx *Tx) Commit() error {
	tx.Kept = len(tx.Plan.Steps)
	return tx.commit(tx.Plan.Desired)
}

// CommitPart records what is there after the first n changes, which are final when it
// returns without error. The others must not have been begun, or be undone.
func (tx *Tx) CommitPart(n int) error {
	st, err := tx.env.Load()
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := tx.log(line{Kept: &n}); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	tx.Kept = n
	return tx.commit(tx.Plan.Part(n, st.Objects))
}

func (tx *Tx) commit(objs []plan.Object) error {
	p := tx.Plan
	s := State{
		Env: tx.env.Name, ID: tx.env.ID, Lineage: p.Lineage, Serial: p.Serial + 1, Keep: p.Keep, Objects: objs,
		Origin: Origin{Mode: p.Mode, Of: p.Of, Time: time.Now().UTC().Truncate(time.Second), UID: tx.env.UID, Counts: p.Counts(), What: p.Brief(), Partial: tx.Kept < len(p.Steps)},
	}
	if s.Lineage == "" {
		s.Lineage = NewLineage()
	}
	if s.Keep < 1 {
		s.Keep = DefaultKeep
	}
	if err := tx.env.save(s, p.Serial); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	tx.Committed = true
	return nil
}

// Retire removes the records of generations that a commit pushed out of the history.
// What they alone referred to can go then.
func (tx *Tx) Retire() error { return tx.env.retire() }

// Rolled notes that all begun changes have been reversed.
func (tx *Tx) Rolled() error {
	tx.Undone = true
	// Without room for the line the next command reverses once more: harmless.
	_ = tx.log(line{Undone: true})
	return nil
}

// Close removes the journal of an apply that is over and cleaned up.
func (tx *Tx) Close() error {
	if tx.f != nil {
		_ = tx.f.Close()
	}
	tx.env.keepReserveIfUp()
	if err := os.Remove(tx.env.journal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("close journal: %w", err)
	}
	return local.SyncDir(tx.env.Dir)
}

// keepReserveIfUp makes the reserve of an environment that is there.
func (e Env) keepReserveIfUp() {
	if st, err := e.Load(); err == nil && len(st.Objects) > 0 {
		e.store().KeepReserve()
	}
}

func (tx *Tx) log(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	fi, err := tx.f.Stat()
	if err != nil {
		return err
	}
	return tx.env.store().WithRoom(func() error {
		_, err := tx.f.Write(append(b, '\n'))
		if err == nil {
			err = tx.f.Sync()
		}
		if err != nil { // a part of a line must not stand before the next one
			return errors.Join(err, tx.f.Truncate(fi.Size()))
		}
		return nil
	})
}

// Unfinished returns the apply that a crash or a failed undo left behind, or
// nil. Only the holder of the lock may ask.
func (e Env) Unfinished() (*Tx, error) {
	for _, path := range e.orphans() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("clean up after a crash: %w", err)
		}
	}
	b, err := local.Read(e.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	tx := &Tx{env: e, Kept: -1}
	size := int64(len(b))
	for i := 0; len(b) > 0; i++ {
		text, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			break // torn by the crash: its act was not begun
		}
		b = rest
		var l line
		err := json.Unmarshal(text, &l)
		if err == nil {
			err = tx.replay(i, l)
		}
		if err != nil {
			return nil, &CorruptError{Path: e.journal(), Err: err, Fix: journalFix}
		}
	}
	s, err := e.Load()
	if err != nil {
		return nil, err
	}
	tx.Committed = tx.Plan.Version != 0 && s.Serial > tx.Plan.Serial
	if tx.Kept < 0 {
		tx.Kept = len(tx.Plan.Steps)
	}
	tx.f, err = os.OpenFile(e.journal(), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		err = tx.f.Truncate(size - int64(len(b))) // what was torn must not stand before the next line
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return tx, nil
}

// journalFix is what to do about a journal that can't be read.
const journalFix = "finish its apply with the Blast that wrote it, or remove it: what had been begun then shows in the next plan as changed by others"

// beginning reads the first line of the journal.
func (e Env) beginning() (line, error) {
	var l line
	b, err := local.Read(e.journal())
	if err != nil {
		return l, err
	}
	text, _, _ := bytes.Cut(b, []byte("\n"))
	return l, json.Unmarshal(text, &l)
}

// replay takes in line i of the journal.
func (tx *Tx) replay(i int, l line) error {
	switch {
	case i == 0:
		if l.Version != Version || l.Plan == nil {
			return fmt.Errorf("journal version %d, this Blast reads %d", l.Version, Version)
		}
		tx.Plan = *l.Plan
	case l.Doing != nil:
		if *l.Doing < 0 || *l.Doing >= len(tx.Plan.Steps) {
			return fmt.Errorf("change %d of %d", *l.Doing, len(tx.Plan.Steps))
		}
		tx.Begun = max(tx.Begun, *l.Doing+1)
	case l.Kept != nil:
		if *l.Kept < 0 || *l.Kept > len(tx.Plan.Steps) {
			return fmt.Errorf("%d changes kept of %d", *l.Kept, len(tx.Plan.Steps))
		}
		tx.Kept = *l.Kept
	case l.Undone:
		tx.Undone = true
	}
	return nil
}

// Forget removes the records of an environment that has nothing left: key, state,
// lock and folder.
func (e Env) Forget() error {
	ns, err := e.serials()
	if err != nil {
		return fmt.Errorf("forget environment: %w", err)
	}
	for _, n := range ns {
		if err := e.forgetGeneration(n); err != nil {
			return fmt.Errorf("forget environment: %w", err)
		}
	}
	for _, name := range []string{keyName, history, stateName, local.ReserveName, "lock"} { // the state is what tells that there is something to forget
		if err := os.Remove(filepath.Join(e.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget environment: %w", err)
		}
	}
	// Folders stay if somebody put something into them.
	_ = os.Remove(e.Dir)
	_ = os.Remove(filepath.Dir(e.Dir))
	return nil
}

func (e Env) journal() string { return filepath.Join(e.Dir, "journal.jsonl") }
