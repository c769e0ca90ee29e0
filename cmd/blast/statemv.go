package main

import (
	"context"
	"fmt"

	"blast.example/blast/runtime/process/session"
	"blast.example/blast/state"
)

type stateMvCmd struct {
	From string `arg:"" help:"Environment to rename."`
	To   string `arg:"" help:"Its new name. Rename its block in blast.hcl, too."`
	editFlags
}

// Run renames an environment. What is on the host is called by its id, and stays as it
// is. Objects have no other names than those of their kinds, and a project's folder can be
// moved without a word.
func (cmd *stateMvCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if g.Env != "" {
		return u.misused("blast state mv takes the names as arguments: leave out --env")
	}
	if err := state.CheckName(cmd.To); err != nil {
		return err
	}
	env, err := session.Locate(cmd.From)
	if err != nil {
		return err
	}
	e, err := u.editing(ctx, env, cmd.editFlags, "blast state mv")
	if err != nil {
		return err
	}
	if e.was.Serial == 0 {
		return fmt.Errorf("nothing is recorded for environment %s", cmd.From)
	}
	if err := e.approve(ctx, fmt.Sprintf("Do you want to call environment %q %q from now on? Its sandbox stays as it is.", cmd.From, cmd.To)); err != nil {
		return err
	}
	s, err := e.carryOut(ctx, func() (state.Env, error) {
		to, err := env.Rename(cmd.To)
		e.env = to
		return to, err
	})
	if err != nil {
		return err
	}
	if err := e.settle(ctx); err != nil { // what looks after it looks there
		return err
	}
	return e.tell(s, "Environment %s is called %s now. If blast.hcl has a block for it, rename that, too: environment %q { ... }", cmd.From, cmd.To, cmd.To)
}
