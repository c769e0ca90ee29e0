package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
)

type rollbackCmd struct {
	Generation  string        `arg:"" optional:"" help:"Generation to go back to; by default the one before the current."`
	Out         string        `placeholder:"FILE" help:"Save the plan, for blast apply FILE, and change nothing."`
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	reportFlags
}

// Run goes back to an earlier generation: a plan like any other, and a new
// generation when it is done. It needs no readable blast.hcl.
func (cmd *rollbackCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := cmd.begin(u); err != nil {
		return err
	}
	m, err := u.planning(g, plan.Rollback, "blast rollback")
	if err != nil {
		return err
	}
	if m.of, m.wait = cmd.Generation, cmd.LockTimeout; m.of == "" {
		if m.of, err = m.before(); err != nil {
			return err
		}
	}
	p, err := m.make(ctx)
	if err != nil {
		return err
	}
	if cmd.Out != "" {
		if err := savePlan(cmd.Out, p.Plan); err != nil {
			return err
		}
		return errors.Join(cmd.show(u, p.Plan), cmd.files(u, p.Plan), cmd.review(u, view.Review{Plan: p.Plan, Saved: cmd.Out}))
	}
	a := applyCmd{AutoApprove: cmd.AutoApprove, reportFlags: cmd.reportFlags}
	return a.apply(ctx, m, p, "Rollback", g)
}

// before is the generation before the current one.
func (m *planning) before() (string, error) {
	gens, err := m.env.History()
	if err != nil {
		return "", err
	}
	if len(gens) < 2 {
		return "", errors.New("no earlier generation is kept (blast history)")
	}
	return fmt.Sprint(gens[len(gens)-2].Serial), nil
}

// generation is what a rollback wants: the objects as they were recorded.
func (m *planning) generation() ([]plan.Object, error) {
	n, err := serialOf(m.of)
	if err != nil {
		return nil, err
	}
	s, err := m.env.Generation(n)
	return s.Objects, err
}
