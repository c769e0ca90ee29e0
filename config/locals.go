package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
)

// locals evaluates all locals blocks, each local after those that it is made of.
func (l *loader) locals(blocks []*hclsyntax.Block) cty.Value {
	g := &localGraph{l: l, attrs: map[string]*hclsyntax.Attribute{}, values: map[string]cty.Value{}, state: map[string]int{}}
	for _, b := range blocks {
		g.declare(b)
	}
	names := slices.SortedFunc(maps.Keys(g.attrs), func(a, b string) int {
		return g.attrs[a].SrcRange.Start.Byte - g.attrs[b].SrcRange.Start.Byte
	})
	for _, name := range names {
		g.visit(name, nil)
	}
	for name, a := range g.attrs {
		l.made.locals[name] = a.Expr
	}
	return cty.ObjectVal(g.values)
}

// localGraph evaluates locals depth first, in the order of the file.
type localGraph struct {
	l      *loader
	attrs  map[string]*hclsyntax.Attribute
	values map[string]cty.Value
	state  map[string]int
}

const (
	untouched = iota
	underway
	done
)

func (g *localGraph) declare(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		g.l.report(block.Errorf(b.LabelRanges[0], "Unexpected label", "The block locals has no label. Write: locals { ... }."))
	}
	for _, inner := range b.Body.Blocks {
		g.l.report(block.Errorf(inner.TypeRange, "Unknown block", "locals holds NAME = VALUE and no blocks. Write: %s = { ... }.", inner.Type))
	}
	for name, a := range b.Body.Attributes {
		// Blocks come in the order of the file, so the first one stays.
		if was, twice := g.attrs[name]; twice {
			g.l.report(block.Duplicate(a.NameRange, was.NameRange, "local."+name, "Give one of them another name."))
			continue
		}
		g.attrs[name] = a
	}
}

// visit evaluates name; path is how it was reached.
func (g *localGraph) visit(name string, path []string) {
	switch g.state[name] {
	case done:
		return
	case underway:
		g.cycle(path[slices.Index(path, name):])
		return
	}
	g.state[name] = underway
	attr := g.attrs[name]
	for _, dep := range g.needs(attr.Expr) {
		g.visit(dep, append(path, name))
	}
	g.state[name] = done
	if _, failed := g.values[name]; failed {
		return // it is part of a cycle
	}
	ctx := &hcl.EvalContext{Functions: g.l.eval.Functions, Variables: maps.Clone(g.l.eval.Variables)}
	ctx.Variables["local"] = g.known()
	v, diags := expression.Value(attr.Expr, ctx)
	g.l.report(diags...)
	g.values[name] = v
}

// known are the values that there are, and for the others, so that their names
// are known, something unknown.
func (g *localGraph) known() cty.Value {
	out := make(map[string]cty.Value, len(g.attrs))
	for name := range g.attrs {
		out[name] = cty.DynamicVal
	}
	maps.Copy(out, g.values)
	return cty.ObjectVal(out)
}

// needs are the locals that an expression refers to, in its order. One that uses
// local as a whole needs nothing that way, and gets what there is.
func (g *localGraph) needs(expr hcl.Expression) []string {
	var out []string
	for _, t := range expr.Variables() {
		if t.IsRelative() || t.RootName() != "local" {
			continue
		}
		name := member(t)
		if _, declared := g.attrs[name]; declared && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// member is the name after the root of a traversal: "x" of local.x and local["x"]. It
// is "" for the root as a whole.
func member(t hcl.Traversal) string {
	if len(t) < 2 {
		return ""
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString()
		}
	}
	return ""
}

// cycle reports a ring of locals, from the one that stands first in the file.
func (g *localGraph) cycle(ring []string) {
	first := slices.MinFunc(ring, func(a, b string) int { return g.attrs[a].SrcRange.Start.Byte - g.attrs[b].SrcRange.Start.Byte })
	at := slices.Index(ring, first)
	ring = append(slices.Clone(ring[at:]), ring[:at]...)
	var steps []string
	for _, name := range ring {
		steps = append(steps, fmt.Sprintf("local.%s (%s)", name, block.Place(g.attrs[name].NameRange)))
		g.values[name] = cty.DynamicVal
	}
	g.l.report(block.Errorf(g.attrs[first].NameRange, "Cycle of locals",
		"%s -> local.%s: each is made of the next, so none has a value. Give one of them a value of its own.", strings.Join(steps, " -> "), first))
}
