package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/process"
	"blast.example/blast/state/backend"
)

type applyCmd struct {
	Plan string `arg:"" optional:"" help:"A plan saved by blast plan --out; carried out as it stands."`
	scopeFlags
	trustFlags
	failFlags
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s; else it ends with 75 at once."`
	KeepPartial bool          `help:"If a change fails, keep and record what was done instead of taking it back. The sandbox may then be neither what it was nor what blast.hcl says."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`
}

// Run converges the sandbox to blast.hcl, or carries out a saved plan.
func (cmd *applyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	m, todo, err := cmd.todo(ctx, u, g)
	if err != nil {
		return err
	}
	return cmd.apply(ctx, m, todo, "Apply", g)
}

// apply carries a plan out, when it is approved.
func (cmd *applyCmd) apply(ctx context.Context, m *planning, todo *planned, verb string, g *Globals) error {
	u := m.u
	if todo.look.Busy != nil {
		return &wire.Error{Code: wire.CodeLocked, Message: (&backend.LockedError{Holder: *todo.look.Busy}).Error()}
	}
	res := outcome{Environment: m.env.Name, Serial: todo.Serial}
	if m.p != nil {
		res.Outputs = values(m.p.file.Outputs)
	}
	if todo.Empty() && !todo.Recorded {
		return cmd.tell(u, m.p, res, func() error { return u.showPlan(todo.Plan, false) })
	}
	if err := cmd.judge(u, todo.Plan); err != nil {
		return err
	}
	if cmd.Plan == "" && !todo.Empty() {
		if err := cmd.ask(ctx, u, todo.Plan); err != nil {
			return err
		}
	}
	if cmd.KeepPartial {
		u.say("Warning: --keep-partial: if a change fails, what was done stays, and the sandbox is neither what it was nor what blast.hcl says.")
	}
	if err := m.carryOut(ctx, todo.Plan, cmd.KeepPartial, &res, verb); err != nil {
		return err
	}
	return cmd.tell(u, m.p, res, func() error {
		if m.mode == plan.Rollback {
			u.say("blast.hcl is as it was: the next apply goes to what it says.")
		}
		return printAll(u.out, fmt.Appendf(nil, "%s   Generation %d.%s\n", complete(verb, res.Counts), res.Serial, m.next(g.Env)))
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

// everything are the objects that are there and those that shall be.
func (m *planning) everything() ([]plan.Object, error) {
	st, err := m.env.Load()
	if m.p != nil {
		st.Objects = append(st.Objects, m.p.conf.Objects...)
	}
	return st.Objects, err
}

// tell is the answer: JSON, or a sentence and the outputs.
func (cmd *applyCmd) tell(u *ui, p *project, res outcome, sentence func() error) error {
	if cmd.JSON {
		return u.answer(res)
	}
	if err := sentence(); err != nil {
		return err
	}
	if p == nil {
		return nil
	}
	return u.showOutputs(p.file.Outputs)
}

// next is what a person may want to do in the environment that was chosen with --env.
func (m *planning) next(chosen string) string {
	if m.p == nil || m.mode == plan.Destroy {
		return ""
	}
	choice := ""
	if chosen != "" {
		choice = " -e " + chosen
	}
	if _, err := os.Lstat(filepath.Join(m.env.Project, "app.py")); err != nil {
		return "   Try: blast shell" + choice
	}
	return "   Try: blast run" + choice + " -- python app.py"
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
	return printAll(u.out, []byte(b.String()))
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
func (cmd *applyCmd) todo(ctx context.Context, u *ui, g *Globals) (*planning, *planned, error) {
	if err := cmd.scopeFlags.check(u); err != nil {
		return nil, nil, err
	}
	if err := cmd.trustFlags.check(u, cmd.Plan); err != nil {
		return nil, nil, err
	}
	mode, saved, text := cmd.mode(), plan.Plan{}, []byte(nil)
	if cmd.Plan != "" {
		if cmd.mode() != plan.Normal || cmd.Upgrade || !cmd.scope().Whole() {
			return nil, nil, u.misused("a saved plan is carried out as it stands: say to blast plan what it is to be about")
		}
		var err error
		if saved, text, err = readPlan(cmd.Plan); err != nil {
			return nil, nil, err
		}
		mode = saved.Mode
	}
	m, err := u.planning(g, mode, "blast apply")
	if err != nil {
		return nil, nil, err
	}
	m.scope, m.upgrade, m.wait = cmd.scope(), cmd.Upgrade, cmd.LockTimeout
	if cmd.Plan == "" {
		p, err := m.make(ctx)
		if err == nil {
			err = cmd.digest(p.Plan)
		}
		return m, p, err
	}
	if saved.Env != m.env.Name {
		return nil, nil, fmt.Errorf("%s is a plan for environment %q, not %q", cmd.Plan, saved.Env, m.env.Name)
	}
	objs, err := m.everything()
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(cmd.digest(saved), cmd.signature(u, cmd.Plan, text, m.env.UID, objs)); err != nil {
		return nil, nil, err
	}
	p, err := m.again(ctx, cmd.Plan, saved)
	return m, p, err
}

// outcome is what apply --json and destroy --json print.
type outcome struct {
	Environment string      `json:"environment"`
	Serial      uint64      `json:"serial"`
	Counts      plan.Counts `json:"counts"`

	Outputs map[string]json.RawMessage `json:"outputs,omitempty"` // those that aren't sensitive
}

// carryOut sends a plan to the daemon, shows what happens and notes what came of it.
func (m *planning) carryOut(ctx context.Context, p plan.Plan, keepPartial bool, out *outcome, verb string) error {
	key, err := process.Seal(&p, m.env)
	if err != nil {
		return err
	}
	secrets := wire.Secrets{Key: key}
	if len(check.Of(p.Desired)) > 0 { // commands that the daemon starts
		if secrets.Values, err = process.Values(p.Desired, m.env); err != nil {
			return err
		}
	}
	u := m.u
	u.talkOnInterrupt = true
	var res wire.ApplyResult
	params := wire.ApplyParams{
		Env: m.env, Plan: p, KeepPartial: keepPartial, Secrets: secrets,
		Caller: wire.Caller{Command: m.command, PID: os.Getpid(), Wait: m.wait},
	}
	err = m.c.Call(ctx, wire.Apply, params, &res, u.watch(p).event)
	u.untick()
	if errors.Is(err, client.ErrDied) {
		res, err = m.afterDeath(ctx, p, verb, err)
	}
	var we *wire.Error
	switch {
	case errors.As(err, &we) && we.Code == wire.CodeRolledBack:
		u.say("%s failed, nothing changed: %s (%d of %d changes were begun and taken back).", verb, we.Addr, we.Undone, len(p.Steps))
		u.advise(we)
		return statusError{exitRolledBack}
	case errors.As(err, &we) && we.Code == wire.CodePartial:
		u.say("%s failed at %s, and %d of %d changes are KEPT, as --keep-partial asks: generation %d is neither what was there nor what was planned.\n`blast plan` shows what is missing; `blast rollback` goes back.",
			verb, we.Addr, we.Kept, len(p.Steps), p.Serial+1)
		return statusError{exitError}
	case err != nil:
		return err
	}
	out.Serial, out.Counts = res.Serial, p.Counts()
	return nil
}

// afterDeath says what came of a plan whose daemon died: another one finishes it or
// takes it back first of all.
func (m *planning) afterDeath(ctx context.Context, p plan.Plan, verb string, died error) (wire.ApplyResult, error) {
	m.u.say("blast: %v; another one finishes that or takes it back", client.ErrDied)
	look, err := m.look(context.WithoutCancel(ctx), wire.LookParams{Records: true})
	res := wire.ApplyResult{Serial: look.Serial}
	gone := len(p.Desired) == 0 && p.Serial > 0 && look.Serial == 0
	switch {
	case err != nil:
		return res, errors.Join(died, err)
	case look.Busy != nil || p.Serial == 0 && len(p.Desired) == 0:
		return res, died // somebody else is at it, or there are no records to tell by
	case look.Serial == p.Serial+1 || gone:
		return res, nil
	}
	m.u.say("%s failed, nothing changed: what was begun is taken back.", verb)
	return res, statusError{exitRolledBack}
}
