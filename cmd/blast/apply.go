package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process"
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
	res := outcome{Environment: p.env.Name, Serial: todo.Serial, Outputs: values(p.file.Outputs)}
	lost := todo.Serial == 0 && len(todo.Desired) > 0 // all is there, and no record of it
	if todo.Empty() && !lost {
		return cmd.tell(u, p, res, func() error { return u.showPlan(*todo, false) })
	}
	if cmd.Plan == "" {
		if err := cmd.ask(ctx, u, *todo); err != nil {
			return err
		}
	}
	if err := u.carryOut(ctx, c, p.env, *todo, &res, "Apply"); err != nil {
		return err
	}
	return cmd.tell(u, p, res, func() error {
		return printAll(u.stdout, fmt.Appendf(nil, "%s   Generation %d.   Try: %s\n", complete("Apply", res.Counts), res.Serial, p.next(g.Env)))
	})
}

// ask shows a plan that nobody has reviewed, and returns an error unless it is approved.
func (cmd *applyCmd) ask(ctx context.Context, u *ui, p plan.Plan) error {
	if !cmd.JSON {
		if err := u.showPlan(p, false); err != nil {
			return err
		}
	}
	if cmd.AutoApprove {
		return nil
	}
	yes, err := u.confirm(ctx, fmt.Sprintf("Do you want to change environment %q like this?", p.Env))
	if err == nil && !yes {
		err = errors.New("apply cancelled: nothing was changed")
	}
	return err
}

// tell is the answer: JSON, or a sentence and the outputs.
func (cmd *applyCmd) tell(u *ui, p *project, res outcome, sentence func() error) error {
	if cmd.JSON {
		return u.answer(res)
	}
	if err := sentence(); err != nil {
		return err
	}
	return u.showOutputs(p.file.Outputs)
}

// next is what a person may want to do in the environment that was chosen with --env.
func (p *project) next(chosen string) string {
	choice := ""
	if chosen != "" {
		choice = " -e " + chosen
	}
	if _, err := os.Lstat(filepath.Join(p.env.Project, "app.py")); err != nil {
		return "blast shell" + choice
	}
	return "blast run" + choice + " -- python app.py"
}

// showOutputs prints what the output blocks say, as Terraform does.
func (u *ui) showOutputs(outs []config.Output) error {
	if len(outs) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nOutputs:\n\n")
	for _, o := range outs {
		fmt.Fprintf(&b, "%s = %s\n", o.Name, o.Text)
	}
	return printAll(u.stdout, []byte(b.String()))
}

// values are the outputs that may be told, for JSON.
func values(outs []config.Output) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, o := range outs {
		if o.Value != nil {
			all[o.Name] = o.Value
		}
	}
	return all
}

// complete is Terraform's last line, which tools parse.
func complete(verb string, n plan.Counts) string {
	return fmt.Sprintf("%s complete! Resources: %d added, %d changed, %d destroyed.", verb, n.Add, n.Change, n.Destroy)
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

	Outputs map[string]json.RawMessage `json:"outputs,omitempty"` // those that aren't sensitive
}

// carryOut sends a plan to the daemon, shows what happens and notes what came of it.
func (u *ui) carryOut(ctx context.Context, c *client.Client, env state.Env, p plan.Plan, out *outcome, verb string) error {
	key, err := process.Seal(&p, env)
	if err != nil {
		return err
	}
	u.talkOnInterrupt = true
	var res wire.ApplyResult
	err = c.Call(ctx, wire.Apply, wire.ApplyParams{Env: env, Plan: p, Secrets: wire.Secrets{Key: key}}, &res, u.watch(p).event)
	u.untick()
	var we *wire.Error
	if errors.As(err, &we) && we.Code == wire.CodeRolledBack {
		u.say("%s failed, nothing changed: %s (%d of %d changes were begun and taken back).", verb, we.Addr, we.Undone, len(p.Steps))
		return statusError{exitRolledBack}
	}
	if err != nil {
		return err
	}
	out.Serial, out.Counts = res.Serial, p.Counts()
	return nil
}
