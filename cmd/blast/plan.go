package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/plan/view/shellword"
	"blast.example/blast/runtime/daemon/client"
)

type planCmd struct {
	scopeFlags
	failFlags
	reportFlags
	Base             string `placeholder:"REV" help:"Compare what blast.hcl allows with another revision of it in git, instead of with the host."`
	SignKey          string `placeholder:"FILE" help:"Sign the saved plan with this SSH key (FILE.sig, as ssh-keygen -Y does)."`
	Out              string `placeholder:"FILE" help:"Save the plan, for blast apply FILE."`
	DetailedExitcode bool   `help:"Exit with 2 if there are changes, 0 if there are none."`
}

// Run makes a plan and shows it.
func (cmd *planCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := cmd.begin(u); err != nil {
		return err
	}
	if err := cmd.check(u); err != nil {
		return err
	}
	p, err := cmd.make(ctx, u, g)
	if err != nil {
		return err
	}
	if err := cmd.show(u, p); err != nil {
		return err
	}
	if cmd.Out != "" {
		if err := cmd.save(ctx, u, g, p); err != nil {
			return err
		}
	}
	if err := errors.Join(cmd.files(u, p), u.githubPlan(p, cmd.Out), cmd.review(u, view.Review{Plan: p, Saved: cmd.Out})); err != nil {
		return err
	}
	if err := cmd.judge(u, p); err != nil {
		return err
	}
	if cmd.DetailedExitcode && !p.Empty() {
		return statusError{exitChanges}
	}
	return nil
}

func (cmd *planCmd) check(u *ui) error {
	switch {
	case cmd.SignKey != "" && cmd.Out == "":
		return u.misused("--sign-key signs a saved plan: add --out FILE")
	case cmd.Base != "" && (cmd.Out != "" || cmd.mode() != plan.Normal || !cmd.scope().Whole() || cmd.upgrade().Any()):
		return u.misused("--base compares two revisions of blast.hcl, and nothing is carried out: leave out --out and what a plan of the host is about")
	}
	return cmd.scopeFlags.check(u)
}

// save saves the plan, with a signature if a key is given.
func (cmd *planCmd) save(ctx context.Context, u *ui, g *Globals, p plan.Plan) error {
	text, err := encodePlan(p)
	if err != nil {
		return err
	}
	if cmd.SignKey != "" {
		err = u.saveSigned(ctx, cmd.Out, text, cmd.SignKey)
	} else {
		err = saveText(cmd.Out, text)
	}
	if err != nil {
		return err
	}
	digest, err := shownDigest(p)
	if err != nil {
		return err
	}
	u.say("\nSaved the plan, %s. To carry out exactly this: %s", digest, carryingOut(g, p, cmd.Out))
	return nil
}

// carryingOut is the command that carries out a saved plan: with the same flags, as the file
// has no values of variables. Those of sensitive ones are not shown either.
func carryingOut(g *Globals, p plan.Plan, file string) string {
	words := []string{"blast", "apply"}
	if g.Chdir != "" { // the file is named as from there
		words = append(words, "-C", shellword.Quote(g.Chdir))
	}
	if g.Env != "" {
		words = append(words, "-e", shellword.Quote(g.Env))
	}
	for _, f := range g.VarFiles {
		words = append(words, "--var-file", shellword.Quote(f))
	}
	for _, v := range g.Vars {
		name, _, _ := strings.Cut(v, "=")
		if _, shown := p.Basis.Variables[name]; !shown {
			v = name + "=..."
		}
		words = append(words, "--var", shellword.Quote(v))
	}
	return strings.Join(append(words, shellword.Quote(file)), " ")
}

func (cmd *planCmd) make(ctx context.Context, u *ui, g *Globals) (plan.Plan, error) {
	if cmd.Base != "" {
		return u.since(ctx, g, cmd.Base)
	}
	m, err := u.planning(g, cmd.mode(), "blast plan")
	if err != nil {
		return plan.Plan{}, err
	}
	m.scope, m.upgrade = cmd.scope(), cmd.upgrade()
	p, err := m.make(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	return p.Plan, nil
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
	u.where = repository(m.env.Project, os.Getenv)
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
