package main

import (
	"context"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
)

type planCmd struct {
	scopeFlags
	Out              string `placeholder:"FILE" help:"Save the plan, for blast apply FILE."`
	JSON             bool   `name:"json" help:"Print the plan as JSON, in Terraform's names."`
	DetailedExitcode bool   `help:"Exit with 2 if there are changes, 0 if there are none."`
}

// Run makes a plan and shows it.
func (cmd *planCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := cmd.check(u); err != nil {
		return err
	}
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
	m, err := u.planning(g, cmd.mode(), "blast plan")
	if err != nil {
		return nil, err
	}
	m.scope, m.upgrade = cmd.scope(), cmd.Upgrade
	return m.make(ctx)
}

// planning prepares a plan of this mode. Only a normal one needs blast.hcl to be whole.
func (u *ui) planning(g *Globals, mode plan.Mode, command string) (*planning, error) {
	m := &planning{u: u, mode: mode, command: command}
	var err error
	if mode == plan.Normal {
		if m.p, err = u.open(g); err != nil {
			return nil, err
		}
		m.env = m.p.env
	} else if m.env, err = u.locate(g); err != nil {
		return nil, err
	}
	m.c, err = u.client()
	return m, err
}

// client is the way to the daemon. A second interrupt ends even what it takes back.
func (u *ui) client() (*client.Client, error) {
	c, err := client.New()
	if err == nil {
		c.Stop = u.stop
	}
	return c, err
}
