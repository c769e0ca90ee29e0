package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
)

type diffCmd struct {
	Of    []string `arg:"" optional:"" help:"Files and folders of the project; or a generation of blast history, and another one, by default the current. A file whose name is a number is written ./7."`
	Patch bool     `short:"p" help:"Show what differs in text files, line by line."`
	JSON  bool     `name:"json" help:"Print as JSON: a line for each file; generations as blast show --json does a plan."`

	ExitCode bool   `help:"Exit with 2 if files differ."`
	Markdown string `placeholder:"FILE" help:"Of generations, write a comment for a review; - is stdout, and to $GITHUB_STEP_SUMMARY it is added."`
}

// Run says what commands have written over the project, where that lies in the layer; or
// what leads from one generation to another, of which it reads records only.
func (cmd *diffCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	generations := len(cmd.Of) > 0 && !slices.ContainsFunc(cmd.Of, func(s string) bool { return strings.Trim(s, "0123456789") != "" })
	switch {
	case !generations && cmd.Markdown != "":
		return u.misused("--markdown is for two generations: blast diff A [B]")
	case !generations:
		return cmd.files(ctx, u, g)
	case cmd.Patch || cmd.ExitCode:
		return u.misused("--patch and --exit-code are for files; a file whose name is a number is written ./7")
	case len(cmd.Of) > 2:
		return u.misused("two generations are compared, and not more")
	}
	return cmd.generations(u, g, cmd.Of[0], strings.Join(cmd.Of[1:], ""))
}

func (cmd *diffCmd) generations(u *ui, g *Globals, from, to string) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	a, err := generationOf(env, from)
	if err != nil {
		return err
	}
	b, err := generationOf(env, to)
	if err != nil {
		return err
	}
	p := between(env.Name, a, b)
	f := reportFlags{JSON: cmd.JSON, Markdown: cmd.Markdown}
	if err := f.review(u, view.Review{Plan: p, Marker: "diff", Title: fmt.Sprintf("generation %d to %d", a.Serial, b.Serial)}); err != nil || f.Markdown == "-" {
		return err
	}
	return u.showDifference(p, cmd.JSON)
}

// between is the plan that would lead from one state to another where each is all
// that is there.
func between(env string, a, b state.State) plan.Plan {
	p := plan.Diff(b.Objects, a.Objects, words.Order(a.Objects), words.Describe)
	p.Env, p.Serial, p.Lineage = env, a.Serial, a.Lineage
	return p
}

// showDifference shows a plan that is not to be carried out.
func (u *ui) showDifference(p plan.Plan, asJSON bool) error {
	switch {
	case asJSON:
		return u.document(p)
	case p.Empty():
		return printAll(u.out, []byte("No difference.\n"))
	}
	return view.Text(u.out, p, u.style())
}

func generationOf(env state.Env, text string) (state.State, error) {
	if text == "" {
		s, err := env.Load()
		return s, err
	}
	n, err := serialOf(text)
	if err != nil {
		return state.State{}, err
	}
	s, err := env.Generation(n)
	if errors.Is(err, fs.ErrPermission) {
		err = client.ErrPrivilege
	}
	return s, err
}
