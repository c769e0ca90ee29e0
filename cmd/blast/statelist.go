package main

import (
	"fmt"
	"strings"
)

type stateListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// recordedObject is a recorded object, as --json prints it.
type recordedObject struct {
	Addr    string `json:"address"`
	Kind    string `json:"kind"`
	Summary string `json:"summary"`
	Place   string `json:"place,omitempty"` // the line that asked for it
	Digest  string `json:"digest"`          // of its attributes: two objects with the same are the same
}

// Run lists what is recorded, in the order in which it was applied.
func (cmd *stateListCmd) Run(u *ui, g *Globals) error {
	env, st, err := u.records(g)
	if err != nil {
		return err
	}
	all := []recordedObject{}
	for _, o := range st.Objects {
		all = append(all, recordedObject{o.Addr, o.Kind(), summary(o), o.Src[""], o.Digest()})
	}
	if cmd.JSON {
		return u.answer(all)
	}
	if len(all) == 0 {
		return printAll(u.out, []byte("Nothing is recorded for environment "+env.Name+".\n"))
	}
	var b strings.Builder
	for _, l := range all {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-22s %s", l.Addr, visible(l.Summary)), " ") + "\n")
	}
	return printAll(u.out, []byte(b.String()))
}
