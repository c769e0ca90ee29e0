package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

type stateRmCmd struct {
	Addresses []string `arg:"" name:"address" help:"Of the objects to forget, or kinds, as blast state list prints them."`
	editFlags
}

// Run forgets records. What is on the host stays: what Blast finds there by this
// environment's id is its own all the same, so the next plan keeps what blast.hcl
// asks for, and removes the rest.
func (cmd *stateRmCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	e, err := u.editing(ctx, env, cmd.editFlags, "blast state rm")
	if err != nil {
		return err
	}
	gone, err := chosen(e.was.Objects, cmd.Addresses)
	if err != nil {
		return err
	}
	if !cmd.JSON {
		if err := printAll(u.out, []byte(forgetting(gone))); err != nil {
			return err
		}
	}
	if err := e.approve(ctx, fmt.Sprintf("Do you want to forget that environment %q has this?", env.Name)); err != nil {
		return err
	}
	s, err := e.carryOut(ctx, func() (state.Env, error) {
		_, err := env.Edit("rm "+strings.Join(cmd.Addresses, " "), func(s *state.State) error {
			s.Objects = slices.DeleteFunc(s.Objects, func(o plan.Object) bool {
				return slices.ContainsFunc(gone, func(g plan.Object) bool { return g.Addr == o.Addr })
			})
			return nil
		})
		return env, err
	})
	if err != nil {
		return err
	}
	return e.tell(s, "Forgot %s.", plural(len(gone), "object"))
}

func forgetting(gone []plan.Object) string {
	var b strings.Builder
	b.WriteString("These records go:\n\n")
	for _, o := range gone {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  - %-22s %s", o.Addr, visible(summary(o))), " ") + "\n")
	}
	b.WriteString("\nNothing on the host changes. What Blast finds there is this environment's all the same:\n" +
		"the next plan keeps what blast.hcl asks for, and removes what it doesn't.\n")
	return b.String()
}
