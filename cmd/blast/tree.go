package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/config/nearest"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/resolve"
)

type treeCmd struct {
	Packages []string `arg:"" optional:"" name:"package" help:"Only these, and what they need."`
	Invert   bool     `short:"i" help:"Show what needs them instead."`
	Depth    int      `short:"d" default:"0" placeholder:"N" help:"How deep; by default all."`
	JSON     bool     `name:"json" help:"Print all packages of the lock as JSON, with what each needs and what needs it."`
}

// treeNode is a package, as --json prints it.
type treeNode struct {
	Name     string      `json:"name"`
	Version  string      `json:"version"`
	Extras   []string    `json:"extras,omitempty"`
	Asked    []treeAsked `json:"asked"`
	Needs    []string    `json:"needs"`
	NeededBy []string    `json:"needed_by"`
}

// treeAsked is a line that asks for a package.
type treeAsked struct {
	Place string `json:"place"`
	Text  string `json:"text"`
}

// Run shows what the lock file says. It asks no index.
func (cmd *treeCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	p, l, err := u.locked(ctx, g)
	if err != nil {
		return err
	}
	u.stale(l, g)
	t := &tree{cmd: cmd, u: u, l: l, g: l.Graph(), shown: map[string]bool{}}
	roots, err := t.roots()
	if err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(t.nodes())
	}
	t.text(p, roots)
	return printAll(u.out, []byte(t.b.String()))
}

// A tree is a graph on its way to paper.
type tree struct {
	cmd   *treeCmd
	u     *ui
	l     *resolve.Locked
	g     pylock.Graph
	b     strings.Builder
	shown map[string]bool
	again bool // something was shown before
}

// roots are what is to be shown: what was named, or what lines ask for, or with
// --invert what needs nothing.
func (t *tree) roots() ([]string, error) {
	var out []string
	for _, name := range t.cmd.Packages {
		n := pep508.NormalizeName(name)
		if _, there := t.g.Packages[n]; !there {
			return nil, missing(t.l, name)
		}
		out = append(out, n)
	}
	if len(out) > 0 {
		return out, nil
	}
	for name := range t.g.Packages {
		if t.cmd.Invert && len(t.g.Needs[name]) == 0 || !t.cmd.Invert && (len(t.l.Asked[name]) > 0 || len(t.g.NeededBy[name]) == 0) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// missing is the error for a package that the lock doesn't have.
func missing(l *resolve.Locked, name string) error {
	var known []string
	for _, p := range l.Packages {
		known = append(known, p.Name)
	}
	return fmt.Errorf("%s has no package %q.%s", l.Path, name, nearest.Hint(pep508.NormalizeName(name), known))
}

func (t *tree) text(p *project, roots []string) {
	fmt.Fprintf(&t.b, "%s, Python %s, %s\n", cell(p.conf.Name), cell(t.l.Python.Version), cell(t.l.Path))
	if len(roots) == 0 {
		t.b.WriteString("No packages.\n")
	}
	for i, name := range roots {
		t.branch(name, "", i == len(roots)-1, 1)
	}
	if t.again {
		t.b.WriteString("(*) is shown above with what it needs\n")
	}
}

// branch writes a package, and below it what it needs. A cycle ends where it closes, as
// all of it was shown then.
func (t *tree) branch(name, indent string, last bool, depth int) {
	fork, bar := t.u.mark("├── ", "|-- "), t.u.mark("│   ", "|   ")
	if last {
		fork, bar = t.u.mark("└── ", "`-- "), "    "
	}
	next := t.g.Needs[name]
	if t.cmd.Invert {
		next = t.g.NeededBy[name]
	}
	deep := t.cmd.Depth > 0 && depth >= t.cmd.Depth
	known := t.shown[name] && len(next) > 0 && !deep
	fmt.Fprintf(&t.b, "%s%s%s\n", indent, fork, t.line(name, known))
	if deep || known {
		t.again = t.again || known
		return
	}
	t.shown[name] = true
	for i, n := range next {
		t.branch(n, indent+bar, i == len(next)-1, depth+1)
	}
}

func (t *tree) line(name string, known bool) string {
	p := t.g.Packages[name]
	s := cell(name)
	if len(p.Extras) > 0 {
		s += "[" + cell(strings.Join(p.Extras, ",")) + "]"
	}
	s += " " + cell(p.Version)
	if known {
		s += " (*)"
	}
	for _, q := range t.l.Asked[name] {
		s += cell("   " + q.Place + " (" + q.Text + ")")
	}
	return s
}

func (t *tree) nodes() []treeNode {
	out := []treeNode{}
	for _, p := range t.l.Packages {
		n := treeNode{p.Name, p.Version, p.Extras, []treeAsked{}, t.g.Needs[p.Name], t.g.NeededBy[p.Name]}
		for _, q := range t.l.Asked[p.Name] {
			n.Asked = append(n.Asked, treeAsked{q.Place, q.Text})
		}
		for _, list := range []*[]string{&n.Needs, &n.NeededBy} {
			if *list == nil {
				*list = []string{}
			}
		}
		out = append(out, n)
	}
	return out
}
