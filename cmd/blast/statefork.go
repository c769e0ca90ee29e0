package main

import (
	"context"
	"errors"
	"fmt"

	"blast.example/blast/state"
)

type stateForkCmd struct{ editFlags }

// Run gives a copy of a project an identity of its own. What is on the host stays
// with the other folder, so that nothing of this one is up.
func (cmd *stateForkCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	var copied *state.CopyError
	if err != nil && !errors.As(err, &copied) {
		return err
	}
	if copied == nil {
		if up, err := env.Claimed(); err != nil {
			return err
		} else if up {
			return fmt.Errorf("environment %s in %s is no copy: what is called %s on this host is its own", env.Name, env.Project, env.ID)
		}
	}
	if _, err := u.client(); err != nil {
		return err
	}
	e := &editing{editFlags: cmd.editFlags, u: u, env: env, command: "blast state fork"}
	if e.was, err = env.Load(); err != nil {
		return err
	}
	if err := e.approve(ctx, fmt.Sprintf("Do you want environment %q in %s to have records of its own? It shares nothing with the other folder then, and is not up.", env.Name, env.Project)); err != nil {
		return err
	}
	s, err := e.carryOut(ctx, env.Fork)
	if err != nil {
		return err
	}
	return e.tell(s, "%s has records of its own now; blast apply makes its sandbox.", env.Project)
}
