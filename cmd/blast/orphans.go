package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds/words"
)

// others destroys environments of other folders than this one, each when it is
// approved. It goes on after one that fails.
func (cmd *destroyCmd) others(ctx context.Context, u *ui) error {
	if cmd.Orphans && (cmd.Markdown != "" || cmd.GitLab != "" || cmd.GitLabQuality != "") {
		return u.misused("--orphans may be several plans, and a review is of one: use --id")
	}
	found, err := u.survey(ctx)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(f wire.Found) bool {
		return cmd.ID != "" && f.Claim.ID != cmd.ID || cmd.Orphans && f.Orphan == ""
	})
	switch {
	case len(found) == 0 && cmd.Orphans && !cmd.quiet():
		return printAll(u.out, []byte("No orphan is on this machine.\n"))
	case len(found) == 0 && !cmd.Orphans:
		return fmt.Errorf("nothing on this machine is called %s: blast ps --all lists what is there", cmd.ID)
	}
	var errs []error
	for _, f := range found {
		errs = append(errs, cmd.other(ctx, u, f))
	}
	return errors.Join(errs...)
}

// other destroys one of them. That of a project which is there ends as its own blast
// destroy would end it.
func (cmd *destroyCmd) other(ctx context.Context, u *ui, f wire.Found) error {
	c, err := u.client()
	if err != nil {
		return err
	}
	if !cmd.quiet() {
		why := f.Orphan
		if why == "" {
			why = "its project is there"
		}
		head := fmt.Sprintf("Environment %s (%s) of %s, for %s: %s.\n\n", f.Now.Name, f.Now.ID, cell(f.Now.Project), whose(f.Now.UID), why)
		if err := printAll(u.out, []byte(head)); err != nil {
			return err
		}
	}
	return cmd.destroy(ctx, &planning{u: u, c: c, env: f.Now, mode: plan.Destroy, command: "blast destroy"})
}

// assumed is what is recorded. Where the records were lost it is what is there, and
// what may be though nobody sees it, as it was being made when they were.
func assumed(look wire.LookResult) []plan.Object {
	if len(look.Assumed) == 0 {
		return look.Recorded
	}
	out := slices.Clone(look.Observed)
	for _, a := range look.Assumed {
		if !slices.ContainsFunc(out, func(o plan.Object) bool { return o.Addr == a }) {
			out = append(out, plan.Object{Addr: a})
		}
	}
	return words.Order(out)
}
