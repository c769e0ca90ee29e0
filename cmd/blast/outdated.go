package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"blast.example/blast/runtime/packages/resolve"
)

type outdatedCmd struct {
	All      bool `help:"List also what is up to date."`
	ExitCode bool `name:"exit-code" help:"Exit with 2 if something is outdated."`
	JSON     bool `name:"json" help:"Print as JSON."`
}

// Run asks the index what is newer than what the lock has: what an upgrade would take, and
// what there is beyond the lines that ask.
func (cmd *outdatedCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	p, l, err := u.locked(ctx, g)
	if err != nil {
		return err
	}
	u.stale(l, g)
	ages, diags := resolve.Resolver{}.Ages(ctx, p.resolving(u))
	u.untick()
	if err := problemsOf(p, diags); err != nil {
		return err
	}
	old := slices.ContainsFunc(ages, resolve.Age.Outdated)
	if !cmd.All {
		ages = slices.DeleteFunc(ages, func(a resolve.Age) bool { return !a.Outdated() })
	}
	if err := cmd.tell(u, g, ages, old); err != nil {
		return err
	}
	if cmd.ExitCode && old {
		return statusError{exitChanges}
	}
	return nil
}

func (cmd *outdatedCmd) tell(u *ui, g *Globals, ages []resolve.Age, old bool) error {
	if cmd.JSON {
		if ages == nil {
			ages = []resolve.Age{}
		}
		return u.answer(ages)
	}
	var b strings.Builder
	if len(ages) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "package\tlocked\tfits\tnewest\tasked for by")
		for _, a := range ages {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cell(a.Name), cell(a.Locked), dash(a.Fits), dash(a.Newest), lines(a))
		}
		_ = w.Flush() // a Builder takes all
	}
	if !old {
		b.WriteString("Everything is up to date.\n")
	} else if slices.ContainsFunc(ages, func(a resolve.Age) bool { return a.Fits != a.Locked }) {
		fmt.Fprintf(&b, "To take what fits: %s\n", blastCommand(g, "update"))
	}
	return printAll(u.out, []byte(b.String()))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return cell(s)
}

// lines are those that ask for a package.
func lines(a resolve.Age) string {
	var out []string
	for _, q := range a.Asked {
		out = append(out, cell(fmt.Sprintf("%s (%s)", q.Place, q.Text)))
	}
	return strings.Join(out, ", ")
}
