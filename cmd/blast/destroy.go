package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state/backend"
)

type destroyCmd struct {
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`
}

// Run converges to nothing. It needs no readable blast.hcl.
func (cmd *destroyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	m, err := u.planning(g, plan.Destroy, "blast destroy")
	if err != nil {
		return err
	}
	m.wait = cmd.LockTimeout
	env := m.env
	p, err := m.make(ctx)
	if err != nil {
		return err
	}
	if p.look.Busy != nil {
		return &wire.Error{Code: wire.CodeLocked, Message: (&backend.LockedError{Holder: *p.look.Busy}).Error()}
	}
	if p.Empty() {
		if cmd.JSON {
			return u.answer(outcome{Environment: env.Name, Serial: p.Serial})
		}
		return printAll(u.out, []byte("Nothing to destroy: environment "+env.Name+" is not there.\n"))
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
	if err := m.carryOut(ctx, p.Plan, false, &res, "Destroy"); err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(res)
	}
	return printAll(u.out, []byte(complete("Destroy", res.Counts)+"\n"))
}
