package main

import (
	"errors"
	"fmt"
	"io/fs"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
)

type diffCmd struct {
	A    string `arg:"" help:"A generation, of blast history."`
	B    string `arg:"" optional:"" help:"Another one; by default the current."`
	JSON bool   `name:"json" help:"Print as JSON, as blast show --json does a plan."`

	Markdown string `placeholder:"FILE" help:"Write a comment for a review; - is stdout, and to $GITHUB_STEP_SUMMARY it is added."`
}

// Run says what leads from one generation to another. It reads records only.
func (cmd *diffCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	a, err := generationOf(env, cmd.A)
	if err != nil {
		return err
	}
	b, err := generationOf(env, cmd.B)
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
