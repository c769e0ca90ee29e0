package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/login"
	"blast.example/blast/runtime/process"
)

type applyCmd struct {
	Plan string `arg:"" optional:"" help:"A plan saved by blast plan --out; carried out as it stands."`
	scopeFlags
	trustFlags
	failFlags
	reportFlags
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s; else it ends with 75 at once."`
	KeepPartial bool          `help:"If a change fails, keep and record what was done instead of taking it back. The sandbox may then be neither what it was nor what blast.hcl says."`
}

// Run converges the sandbox to blast.hcl, or carries out a saved plan.
func (cmd *applyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := cmd.begin(u); err != nil {
		return err
	}
	m, todo, err := cmd.todo(ctx, u, g)
	if err != nil {
		return err
	}
	if err := u.githubPlan(todo.Plan, cmd.Plan); err != nil {
		return err
	}
	return cmd.apply(ctx, m, todo, "Apply", g)
}

// apply carries a plan out, when it is approved, and tells what came of it.
func (cmd *applyCmd) apply(ctx context.Context, m *planning, todo *planned, verb string, g *Globals) error {
	u := m.u
	if err := busy(todo.look); err != nil {
		return err
	}
	if err := errors.Join(u.stream(todo.Plan), cmd.files(u, todo.Plan)); err != nil {
		return err
	}
	res := outcome{Serial: todo.Serial}
	err := cmd.carry(ctx, m, todo, &res, verb, g)
	return cmd.end(u, todo.Plan, res.story(verb, err), err)
}

func (cmd *applyCmd) carry(ctx context.Context, m *planning, todo *planned, res *outcome, verb string, g *Globals) error {
	u := m.u
	var outs []config.Output
	if m.p != nil {
		outs = m.p.file.Outputs
	}
	if todo.Empty() && !todo.Recorded {
		if err := cmd.text(u, todo.Plan); err != nil {
			return err
		}
		return cmd.tell(u, verb, *res, outs, "")
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
	if err := m.carryOut(ctx, todo.Plan, cmd.KeepPartial, res, verb); err != nil {
		return err
	}
	switch m.mode {
	case plan.Rollback:
		u.say("blast.hcl is as it was: the next apply goes to what it says.")
	case plan.Load:
		u.say("blast.hcl is as it was: the next apply goes to what it says, and keeps the files of the snapshot.")
	case plan.Normal, plan.Destroy, plan.RefreshOnly:
	}
	return cmd.tell(u, verb, *res, outs, fmt.Sprintf("%s   Generation %d.%s\n", view.Complete(verb, res.Counts), res.Serial, m.next(g.Env)))
}

// ask shows a plan that nobody has reviewed, and returns an error unless it is approved.
func (cmd *applyCmd) ask(ctx context.Context, u *ui, p plan.Plan) error {
	if err := cmd.text(u, p); err != nil || cmd.AutoApprove {
		return err
	}
	yes, err := cmd.confirm(ctx, u, fmt.Sprintf("Do you want to change environment %q like this?", p.Env))
	if err == nil && !yes {
		err = errors.New("apply cancelled: nothing was changed")
	}
	return err
}

// everything are the objects that are there and those that shall be, of all
// environments of blast.hcl: the sandbox of one may reach what another one relies on.
func (m *planning) everything() ([]plan.Object, error) {
	st, err := m.env.Load()
	if m.p != nil {
		for _, e := range m.p.file.Environments {
			st.Objects = append(st.Objects, e.Objects...)
		}
	}
	return st.Objects, err
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
		if cmd.mode() != plan.Normal || cmd.upgrade().Any() || !cmd.scope().Whole() {
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
	m.scope, m.upgrade, m.wait = cmd.scope(), cmd.upgrade(), cmd.LockTimeout
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

// outcome is what came of carrying a plan out.
type outcome struct {
	Serial uint64
	Counts plan.Counts
	Said   string // what was said of a failure
}

// story is the outcome in a sentence.
func (o outcome) story(verb string, err error) string {
	switch {
	case o.Said != "":
		return o.Said
	case err != nil:
		return verb + " failed: " + strings.ReplaceAll(err.Error(), "\n", " ")
	case o.Counts == plan.Counts{}:
		return "Nothing was to be done."
	}
	return fmt.Sprintf("%s Generation %d.", view.Complete(verb, o.Counts), o.Serial)
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
	if secrets.Logins, err = m.logins(p); err != nil {
		return err
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
		res, err = m.afterDeath(ctx, p, out, verb, err)
	}
	var we *wire.Error
	switch {
	case errors.As(err, &we) && we.Code == wire.CodeRolledBack:
		out.failed(u, we, "%s failed, nothing changed: %s (%d of %d changes were begun and taken back).", verb, we.Addr, we.Undone, len(p.Steps))
		return statusError{exitRolledBack}
	case errors.As(err, &we) && we.Code == wire.CodePartial:
		out.failed(u, we, "%s failed at %s, and %d of %d changes are KEPT, as --keep-partial asks: generation %d is neither what was there nor what was planned.\n`blast plan` shows what is missing; `blast rollback` goes back.",
			verb, we.Addr, we.Kept, len(p.Steps), p.Serial+1)
		return statusError{exitError}
	case err != nil:
		return err
	}
	out.Serial, out.Counts = res.Serial, p.Counts()
	return nil
}

// logins are for the daemon to fetch packages with, if the plan changes those.
func (m *planning) logins(p plan.Plan) (map[string]wire.Login, error) {
	if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Addr == packages.SetAddr && s.To != nil }) {
		return nil, nil
	}
	set, err := setOf(p.Desired)
	if err != nil {
		return nil, err
	}
	ls, err := login.Find(set.Wishes.Logins, m.env)
	return wire.Reveal(ls), err
}

// afterDeath says what came of a plan whose daemon died: another one finishes it or
// takes it back first of all.
func (m *planning) afterDeath(ctx context.Context, p plan.Plan, out *outcome, verb string, died error) (wire.ApplyResult, error) {
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
		return res, m.keptInPart(p, out, verb, died)
	}
	out.failed(m.u, &wire.Error{Message: died.Error()}, "%s failed, nothing changed: what was begun is taken back.", verb)
	return res, statusError{exitRolledBack}
}

// keptInPart tells a plan that went through from one of which --keep-partial kept a part.
func (m *planning) keptInPart(p plan.Plan, out *outcome, verb string, died error) error {
	st, err := m.env.Load()
	if err != nil || !st.Origin.Partial {
		return err
	}
	out.failed(m.u, &wire.Error{Message: died.Error()}, "%s failed, and a part of the changes is KEPT, as --keep-partial asks: generation %d is neither what was there nor what was planned.\n`blast plan` shows what is missing; `blast rollback` goes back.",
		verb, p.Serial+1)
	return statusError{exitError}
}

// failed says how a plan failed and what that left.
func (o *outcome) failed(u *ui, we *wire.Error, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	u.say("%s", text)
	u.advise(we)
	o.Said, _, _ = strings.Cut(text, "\n")
	u.diagnose(view.Diagnostic{Severity: "error", Summary: o.Said, Detail: withAdvice(we), Address: we.Addr})
}
