package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state/backend"
)

type destroyCmd struct {
	ID          string        `name:"id" xor:"which" placeholder:"ID" help:"Destroy the environment that blast ps --all lists by this id, whatever became of its project."`
	Orphans     bool          `xor:"which" help:"Destroy all environments whose projects are gone."`
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	reportFlags
}

// Run converges to nothing. It needs no readable blast.hcl.
func (cmd *destroyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := cmd.begin(u); err != nil {
		return err
	}
	if cmd.ID != "" || cmd.Orphans {
		return cmd.others(ctx, u)
	}
	m, err := u.planning(g, plan.Destroy, "blast destroy")
	if err != nil {
		return err
	}
	return cmd.destroy(ctx, m)
}

// destroy plans the end of one environment, asks, and carries it out.
func (cmd *destroyCmd) destroy(ctx context.Context, m *planning) error {
	u := m.u
	m.wait = cmd.LockTimeout
	p, err := m.make(ctx)
	if err != nil {
		return err
	}
	if err := busy(p.look); err != nil {
		return err
	}
	if err := errors.Join(u.stream(p.Plan), cmd.files(u, p.Plan)); err != nil {
		return err
	}
	res := outcome{Serial: p.Serial}
	err = cmd.carry(ctx, m, p, &res)
	return cmd.end(u, p.Plan, res.story("Destroy", err), err)
}

// carry destroys, when that is approved.
func (cmd *destroyCmd) carry(ctx context.Context, m *planning, p *planned, res *outcome) error {
	u, name := m.u, m.env.Name
	if p.Empty() {
		return cmd.tell(u, "Destroy", *res, nil, "Nothing to destroy: environment "+name+" is not there.\n")
	}
	if err := cmd.text(u, p.Plan); err != nil {
		return err
	}
	if !cmd.AutoApprove {
		yes, err := cmd.confirm(ctx, u, fmt.Sprintf("Do you really want to destroy environment %q? Commands that run in it end, and its writable layer is deleted.", name))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("destroy cancelled: nothing was changed")
		}
	}
	if err := m.carryOut(ctx, p.Plan, false, res, "Destroy"); err != nil {
		return err
	}
	return cmd.tell(u, "Destroy", *res, nil, view.Complete("Destroy", res.Counts)+"\n")
}

// busy is an error while another command changes the environment.
func busy(look wire.LookResult) error {
	if look.Busy == nil {
		return nil
	}
	return &wire.Error{Code: wire.CodeLocked, Message: (&backend.LockedError{Holder: *look.Busy}).Error()}
}
