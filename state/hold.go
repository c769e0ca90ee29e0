package state

import (
	"fmt"
	"time"
)

// holdNote is there while an environment is to stand still, from before the first of its
// processes does.
const holdNote = "hold"

// A Hold says that an environment stands still until somebody lets it go on, and why. It
// outlives the daemon, and goes with the kernel's own record of it: at a reboot.
type Hold struct {
	Time  time.Time `json:"time"`
	By    string    `json:"by"`              // "blast freeze", `alert "mass-delete"`
	Why   string    `json:"why,omitempty"`   // in words, for a person
	Place string    `json:"place,omitempty"` // the line of blast.hcl that asked for it
}

// Held says whether the environment is to stand still; nil is no. What can't be read is a
// hold without words.
func (e Env) Held() *Hold {
	var h Hold
	ok, err := e.ReadNote(holdNote, &h)
	if err != nil {
		return &Hold{By: "somebody whose note can't be read"}
	}
	if !ok {
		return nil
	}
	return &h
}

// Keep notes a hold. One that is there already stays: who was first counts.
func (e Env) Keep(h Hold) error {
	if e.Held() != nil {
		return nil
	}
	if h.Time.IsZero() {
		h.Time = time.Now().UTC().Truncate(time.Second)
	}
	return e.WriteNote(holdNote, h)
}

// Amend says more of a hold that is there.
func (e Env) Amend(why string) error {
	h := e.Held()
	if h == nil {
		return nil // somebody let it go on
	}
	h.Why += why
	return e.WriteNote(holdNote, h)
}

// LetGo forgets the hold. It is no error if there is none.
func (e Env) LetGo() error { return e.DropNote(holdNote) }

// Tell says that an environment of that name stands still, and why.
func (h Hold) Tell(name string) string {
	s := fmt.Sprintf("environment %q stands still since %s, by %s", name, h.Time.Local().Format("2006-01-02 15:04:05"), h.By)
	if h.Why != "" {
		s += ": " + h.Why
	}
	if h.Place != "" {
		s += " (" + h.Place + ")"
	}
	return s
}
