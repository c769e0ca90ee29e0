package main

import (
	"fmt"

	"blast.example/blast/state"
)

type statePullCmd struct{}

// Run prints the state as it is on disk, in the newest format. Secrets are in it by
// where they come from and a keyed hash only; the key isn't.
func (cmd *statePullCmd) Run(u *ui, g *Globals) error {
	env, st, err := u.records(g)
	if err != nil {
		return err
	}
	if st.Serial == 0 {
		return fmt.Errorf("nothing is recorded for environment %s", env.Name)
	}
	b, err := state.Encode(st)
	if err != nil {
		return err
	}
	return printAll(u.out, b)
}
