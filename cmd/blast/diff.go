package main

import (
	"errors"
	"io/fs"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
)

type diffCmd struct {
	A    string `arg:"" help:"A generation, of blast history."`
	B    string `arg:"" optional:"" help:"Another one; by default the current."`
	JSON bool   `name:"json" help:"Print as JSON."`
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
	return u.showDifference(between(env.Name, a, b), cmd.JSON)
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
	if p.Empty() && !asJSON {
		return printAll(u.out, []byte("No difference.\n"))
	}
	return u.showPlan(p, asJSON)
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
