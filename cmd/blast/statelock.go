package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/state/backend"
)

type stateLockCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// lockReport is what --json prints.
type lockReport struct {
	Environment string  `json:"environment"`
	Locked      bool    `json:"locked"`
	Holder      *holder `json:"holder,omitempty"`
}

type holder struct {
	backend.Holder
	Alive   bool      `json:"alive"`
	Started time.Time `json:"started,omitzero"` // the process
}

// Run says who has the lock that a command holds while it changes an environment. It takes none, and waits for nobody.
func (cmd *stateLockCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	h, err := env.Holder()
	if errors.Is(err, fs.ErrPermission) {
		return client.ErrPrivilege
	}
	if err != nil {
		return err
	}
	r := lockReport{Environment: env.Name, Locked: h != nil}
	if h != nil {
		r.Holder = &holder{*h, h.Alive(), h.Started()}
	}
	if cmd.JSON {
		return u.answer(r)
	}
	return printAll(u.out, []byte(r.text()))
}

func (r lockReport) text() string {
	if r.Holder == nil {
		return "Environment " + r.Environment + " is not locked.\n"
	}
	h := r.Holder
	if h.PID == 0 {
		return "Environment " + r.Environment + " is locked by a process that has not said who it is.\n"
	}
	life := "dead"
	switch {
	case h.Foreign():
		life = "on another machine or in another container"
	case h.Alive:
		life = "alive"
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		b.WriteString(visible(fmt.Sprintf("  %-8s "+format, append([]any{name}, args...)...)) + "\n")
	}
	fmt.Fprintf(&b, "Environment %s is locked:\n", r.Environment)
	line("id", "%s", h.ID)
	if h.Client > 0 {
		line("command", "%s, pid %d, done by blastd", h.Command, h.Client)
	} else {
		line("command", "%s", h.Command)
	}
	line("holder", "pid %d, %s%s", h.PID, life, started(h.Started))
	line("since", "%s", h.Since.Local().Format(time.DateTime))
	line("host", "%s, boot %s", h.Host, h.Boot)
	if life == "dead" {
		fmt.Fprintf(&b, "Its holder is dead, and another process has inherited the lock: blast force-unlock %s frees it.\n", h.ID)
	}
	return b.String()
}

func started(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", started " + t.Local().Format(time.DateTime)
}
