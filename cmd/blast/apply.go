package main

import (
	"context"
	"errors"
	"fmt"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

type applyCmd struct {
	Plan        string `arg:"" optional:"" help:"A plan saved by blast plan --out; carried out as it stands."`
	AutoApprove bool   `help:"Don't ask."`
	Upgrade     bool   `help:"Take the newest packages that fit, not those of the lock."`
	JSON        bool   `name:"json" help:"Print the result as JSON."`
}

// Run converges the sandbox to blast.hcl, or carries out a saved plan.
func (cmd *applyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	p, err := u.open(g)
	if err != nil {
		return err
	}
	c, err := client.New()
	if err != nil {
		return err
	}
	todo, err := cmd.todo(ctx, u, c, p)
	if err != nil {
		return err
	}
	if todo.Empty() {
		if cmd.JSON {
			return u.answer(outcome{Environment: p.env.Name, Serial: todo.Serial})
		}
		return u.showPlan(*todo, false)
	}
	if cmd.Plan == "" && !cmd.JSON {
		if err := u.showPlan(*todo, false); err != nil {
			return err
		}
	}
	if cmd.Plan == "" && !cmd.AutoApprove {
		yes, err := u.confirm(ctx, fmt.Sprintf("Do you want to change environment %q like this?", p.env.Name))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("apply cancelled: nothing was changed")
		}
	}
	return u.carryOut(ctx, c, p.env, *todo, cmd.JSON, "Apply")
}

// todo is the saved plan, if it still fits, or a new one.
func (cmd *applyCmd) todo(ctx context.Context, u *ui, c *client.Client, p *project) (*plan.Plan, error) {
	if cmd.Plan == "" {
		fresh, err := u.plan(ctx, c, p, cmd.Upgrade)
		if err != nil {
			return nil, err
		}
		return &fresh.Plan, nil
	}
	saved, err := readPlan(cmd.Plan)
	if err != nil {
		return nil, err
	}
	switch {
	case saved.Env != p.env.Name:
		return nil, fmt.Errorf("%s is a plan for environment %q, not %q", cmd.Plan, saved.Env, p.env.Name)
	case saved.Config != "" && saved.Config != p.file.Digest:
		return nil, fmt.Errorf("%s is stale: blast.hcl, a file it reads or a variable changed since: plan again", cmd.Plan)
	}
	return u.again(ctx, c, p, cmd.Plan, saved)
}

// again makes a saved plan once more, of blast.hcl and the host as they are, with
// the packages that were settled then. Only if it comes out the same is it carried
// out: the file may lie where code in the sandbox could write to it.
func (u *ui) again(ctx context.Context, c *client.Client, p *project, name string, saved plan.Plan) (*plan.Plan, error) {
	var desired []plan.Object
	of := p
	if saved.Config == "" { // of blast destroy
		of = nil
	} else {
		var err error
		if desired, err = u.settle(ctx, p, kinds.ResolveInput{Settled: append([]plan.Object{}, saved.Desired...)}); err != nil {
			return nil, err
		}
	}
	now, err := u.compare(ctx, c, p.env, desired, of)
	if err != nil {
		return nil, err
	}
	if !now.Same(saved) {
		return nil, fmt.Errorf("%s is not what would be done now: the environment, this host or the file changed since: plan again", name)
	}
	return &now.Plan, nil
}

// outcome is what apply --json and destroy --json print.
type outcome struct {
	Environment string      `json:"environment"`
	Serial      uint64      `json:"serial"`
	Counts      plan.Counts `json:"counts"`
}

// carryOut sends a plan to the daemon and shows what happens.
func (u *ui) carryOut(ctx context.Context, c *client.Client, env state.Env, p plan.Plan, asJSON bool, verb string) error {
	u.talkOnInterrupt = true
	var res wire.ApplyResult
	err := c.Call(ctx, wire.Apply, wire.ApplyParams{Env: env, Plan: p}, &res, u.watch(p).event)
	u.untick()
	var we *wire.Error
	if errors.As(err, &we) && we.Code == wire.CodeRolledBack {
		u.say("%s failed, nothing changed: %s (%d of %d changes were begun and taken back).", verb, we.Addr, we.Undone, len(p.Steps))
		return statusError{exitRolledBack}
	}
	if err != nil {
		return err
	}
	n := p.Counts()
	if asJSON {
		return u.answer(outcome{env.Name, res.Serial, n})
	}
	line := fmt.Sprintf("%s complete! Resources: %d added, %d changed, %d destroyed.", verb, n.Add, n.Change, n.Destroy)
	if verb == "Apply" {
		line += fmt.Sprintf("   Generation %d.   Try: blast run -- python app.py", res.Serial)
	}
	return printAll(u.stdout, []byte(line+"\n"))
}
