package main

import (
	"context"

	"blast.example/blast/runtime/daemon/client"
)

type planCmd struct {
	Out              string `placeholder:"FILE" help:"Save the plan, for blast apply FILE."`
	JSON             bool   `name:"json" help:"Print the plan as JSON, in Terraform's names."`
	DetailedExitcode bool   `help:"Exit with 2 if there are changes, 0 if there are none."`
	Upgrade          bool   `help:"Take the newest packages that fit, not those of the lock."`
	Destroy          bool   `help:"Plan what blast destroy would do."`
}

// Run makes a plan and shows it.
func (cmd *planCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	p, err := cmd.make(ctx, u, g)
	if err != nil {
		return err
	}
	if cmd.Out != "" {
		if err := savePlan(cmd.Out, p.Plan); err != nil {
			return err
		}
	}
	if err := u.showPlan(p.Plan, cmd.JSON); err != nil {
		return err
	}
	if cmd.Out != "" && !cmd.JSON {
		u.say("\nSaved the plan. To carry out exactly this: blast apply %s", cmd.Out)
	}
	if cmd.DetailedExitcode && !p.Empty() {
		return statusError{exitChanges}
	}
	return nil
}

func (cmd *planCmd) make(ctx context.Context, u *ui, g *Globals) (*planned, error) {
	if cmd.Destroy {
		env, err := u.locate(g)
		if err != nil {
			return nil, err
		}
		c, err := client.New()
		if err != nil {
			return nil, err
		}
		return u.compare(ctx, c, env, nil, nil)
	}
	p, err := u.open(g)
	if err != nil {
		return nil, err
	}
	c, err := client.New()
	if err != nil {
		return nil, err
	}
	return u.plan(ctx, c, p, cmd.Upgrade)
}
