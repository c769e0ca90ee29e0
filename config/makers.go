package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/expression"
	"blast.example/blast/config/variable"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// makers tell which variables values are made of, for a plan to say why something
// changes.
type makers struct {
	vars   variable.Values
	locals map[string]hcl.Expression
	eval   *hcl.EvalContext
	known  map[string]plan.Makers // of locals; nil while it is being found out
}

// Bounds of what is noted with each item, and of one name.
const (
	maxMakers = 12
	maxEnv    = 40
)

// of names the variables and env calls of an expression, those of locals among them,
// in its order.
func (m makers) of(expr hcl.Expression) plan.Makers {
	if expression.Literal(expr) {
		return nil
	}
	var out plan.Makers
	for _, t := range expr.Variables() {
		if t.IsRelative() {
			continue
		}
		switch t.RootName() {
		case "var":
			out = out.With(m.variable(member(t)))
		case "local":
			out = out.With(m.local(member(t))...)
		}
	}
	out = out.With(m.env(expr)...)
	if more := len(out) - maxMakers; more > 0 {
		out = append(out[:maxMakers:maxMakers], plan.Maker{Name: fmt.Sprintf("%d more variables", more)})
	}
	return out
}

// variable is one of them, or, where an expression takes one by a name that it works
// out, any.
func (m makers) variable(name string) plan.Maker {
	if one, declared := m.vars.Maker(name); declared {
		return one
	}
	return plan.Maker{Name: "var"}
}

// local are the makers of a local, or of all where an expression takes any.
func (m makers) local(name string) plan.Makers {
	expr, declared := m.locals[name]
	if !declared {
		var out plan.Makers
		if name == "" {
			for _, n := range slices.Sorted(maps.Keys(m.locals)) {
				out = out.With(m.local(n)...)
			}
		}
		return out
	}
	if found, begun := m.known[name]; begun {
		return found // nothing yet in a cycle, which is reported elsewhere
	}
	m.known[name] = nil
	m.known[name] = m.of(expr)
	return m.known[name]
}

// env names the variables of the caller's environment. Their values are not told: no
// line says whether they are secret.
func (m makers) env(expr hcl.Expression) plan.Makers {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return nil
	}
	var out plan.Makers
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != "env" || len(call.Args) == 0 {
			return nil
		}
		name := "env"
		if v, diags := call.Args[0].Value(m.eval); !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() && !v.IsMarked() {
			name += " " + wording.Foreign(v.AsString(), maxEnv)
		}
		out = out.With(plan.Maker{Name: name})
		return nil
	})
	return out
}
