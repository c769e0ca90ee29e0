package main

import (
	"context"
	"errors"
	"fmt"

	"blast.example/blast/runtime/daemon/client"
)

type destroyCmd struct {
	AutoApprove bool `help:"Don't ask."`
	JSON        bool `name:"json" help:"Print the result as JSON."`
}

// Run converges to nothing. It needs no readable blast.hcl.
func (cmd *destroyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	c, err := client.New()
	if err != nil {
		return err
	}
	p, err := u.compare(ctx, c, env, nil, nil)
	if err != nil {
		return err
	}
	if p.Empty() {
		if cmd.JSON {
			return u.answer(outcome{Environment: env.Name, Serial: p.Serial})
		}
		return printAll(u.stdout, []byte("Nothing to destroy: environment "+env.Name+" is not there.\n"))
	}
	if !cmd.JSON {
		if err := u.showPlan(p.Plan, false); err != nil {
			return err
		}
	}
	if !cmd.AutoApprove {
		yes, err := u.confirm(ctx, fmt.Sprintf("Do you really want to destroy environment %q? Commands that run in it end, and its writable layer is deleted.", env.Name))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("destroy cancelled: nothing was changed")
		}
	}
	res := outcome{Environment: env.Name}
	if err := u.carryOut(ctx, c, env, p.Plan, &res, "Destroy"); err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(res)
	}
	return printAll(u.stdout, []byte(complete("Destroy", res.Counts)+"\n"))
}
