package main

import (
	"context"
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/resolve"
)

type whyCmd struct {
	Package string `arg:"" help:"A package of the lock."`
	JSON    bool   `name:"json" help:"Print as JSON."`
}

// whyAnswer is what --json prints.
type whyAnswer struct {
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Reasons []whyChain `json:"reasons"`
}

// A whyChain leads from a line to the package.
type whyChain struct {
	Place string   `json:"place"`
	Text  string   `json:"text"`
	Path  []string `json:"path"` // "flask 3.0", ..., the package itself
}

// Run tells why a package is there: by each line that leads to it, the shortest way.
func (cmd *whyCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	_, l, err := u.locked(ctx, g)
	if err != nil {
		return err
	}
	u.stale(l, g)
	a, err := cmd.answer(l)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(a)
	}
	return printAll(u.out, []byte(a.text(u)))
}

func (cmd *whyCmd) answer(l *resolve.Locked) (whyAnswer, error) {
	name := pep508.NormalizeName(cmd.Package)
	graph := l.Graph()
	p, there := graph.Packages[name]
	if !there {
		return whyAnswer{}, missing(l, cmd.Package)
	}
	a := whyAnswer{p.Name, p.Version, []whyChain{}}
	for _, root := range l.Packages { // sorted, as Encode has written them
		asked := l.Asked[root.Name]
		if len(asked) == 0 {
			continue
		}
		path := graph.Path(name, func(n string) bool { return n == root.Name })
		for i, n := range path {
			path[i] += " " + graph.Packages[n].Version
		}
		for _, q := range asked {
			if path != nil {
				a.Reasons = append(a.Reasons, whyChain{q.Place, q.Text, path})
			}
		}
	}
	return a, nil
}

func (a whyAnswer) text(u *ui) string {
	var b strings.Builder
	if len(a.Reasons) == 0 {
		fmt.Fprintf(&b, "%s %s is in the lock, and no line leads to it: the next blast lock leaves it out.\n", cell(a.Name), cell(a.Version))
	}
	for _, r := range a.Reasons {
		fmt.Fprintf(&b, "%s (%s)\n", cell(r.Place), cell(r.Text))
		for i, step := range r.Path {
			fmt.Fprintf(&b, "%s%s %s\n", strings.Repeat("  ", i+1), u.mark("└", "`-"), cell(step))
		}
	}
	return b.String()
}
