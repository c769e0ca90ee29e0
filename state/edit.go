package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/state/backend/local"
)

// Edit changes what is recorded by hand, and nothing on the host: of says how, such as
// "rm packages.set". change gets the state, and may give it other objects and another
// number of generations to keep. What comes of it is a new generation. Only the holder
// of the lock may, and not while an apply is unfinished.
func (e Env) Edit(of string, change func(*State) error) (State, error) {
	was, err := e.editable()
	if err != nil {
		return State{}, err
	}
	s := was
	s.Objects = slices.Clone(was.Objects)
	if err := change(&s); err != nil {
		return State{}, err
	}
	s.Env, s.ID, s.Serial = e.Name, e.ID, max(was.Serial, s.Serial)+1 // a serial of a lost state is not used again
	if was.Lineage != "" {
		s.Lineage = was.Lineage
	}
	return s, e.record(&s, was.Serial, of)
}

// Fork gives a folder that is a copy of another one an identity of its own. What is
// on the host stays the other's; what is recorded stays as it is, to be made anew by
// the next apply. Only the holder of the lock may.
func (e Env) Fork() (Env, error) {
	// A journal that was copied is of an apply of the other's.
	if err := os.Remove(e.journal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, fmt.Errorf("fork environment: %w", err)
	}
	was, err := e.Load()
	if err != nil {
		return e, err
	}
	if was.Serial == 0 {
		return e, errors.New("fork environment: nothing is recorded here")
	}
	for try := range tries {
		c := e.called(idOf(e.Project, e.Name, try))
		claim, err := c.readClaim()
		if err != nil || claim != nil {
			continue
		}
		s := was
		s.Env, s.ID, s.Serial, s.Lineage = c.Name, c.ID, was.Serial+1, NewLineage()
		return c, c.record(&s, was.Serial, "fork of "+e.ID)
	}
	return e, errors.New("fork environment: all ids are other environments'")
}

// Rename gives the environment another name, and with it its records another folder.
// Its sandbox stays as it is. Only the holder of the lock may, and has it still.
func (e Env) Rename(name string) (Env, error) {
	if err := CheckName(name); err != nil {
		return e, err
	}
	if was, err := e.editable(); err != nil {
		return e, err
	} else if was.Serial == 0 {
		return e, fmt.Errorf("rename environment: nothing is recorded of %s", e.Name)
	}
	if err := local.Rename(filepath.Dir(e.Dir), e.Name, name); errors.Is(err, unix.EEXIST) {
		return e, fmt.Errorf("environment %s has records already: choose another name, or end it first (blast destroy -e %s)", name, name)
	} else if err != nil {
		return e, fmt.Errorf("rename environment: %w", err)
	}
	to := e
	to.Name, to.Dir = name, filepath.Join(filepath.Dir(e.Dir), name)
	_, err := to.Edit("mv "+e.Name, func(*State) error { return nil })
	return to, err
}

// editable returns the state, if it may be edited now.
func (e Env) editable() (State, error) {
	if _, err := os.Lstat(e.journal()); err == nil {
		return State{}, ErrUnfinished
	}
	return e.Load()
}

// record makes s the state, where was is the serial that is recorded.
func (e Env) record(s *State, was uint64, of string) error {
	if s.Lineage == "" {
		s.Lineage = NewLineage()
	}
	if s.Keep < 1 {
		s.Keep = DefaultKeep
	}
	s.Origin = Origin{Mode: Edit, Of: of, Time: time.Now().UTC().Truncate(time.Second), UID: e.UID}
	if err := e.save(*s, was); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	return e.retire()
}
