package expression

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Meter makes all expressions of a file share one allowance. Nested loops and
// strings that double each other can make terabytes of a file of ten lines, and
// an evaluation can't be stopped from outside.
func Meter(file *hcl.File) {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	m := &meter{}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		m.attach(n)
		return nil
	})
}

type meter struct{ spent int }

// attach puts the meter between a node that can multiply and what goes into it.
func (m *meter) attach(n hclsyntax.Node) {
	wrap := func(e hclsyntax.Expression) hclsyntax.Expression {
		if e == nil {
			return nil
		}
		// HCL walks into parentheses, but would not look below a node that it
		// doesn't know.
		return metered{&hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, m}
	}
	switch n := n.(type) {
	case *hclsyntax.ForExpr:
		n.CollExpr = wrap(n.CollExpr)
	case *hclsyntax.TemplateExpr:
		for i := range n.Parts {
			if _, plain := n.Parts[i].(*hclsyntax.LiteralValueExpr); !plain || len(n.Parts) > 1 {
				n.Parts[i] = wrap(n.Parts[i])
			}
		}
	case *hclsyntax.BinaryOpExpr:
		n.LHS, n.RHS = wrap(n.LHS), wrap(n.RHS)
	case *hclsyntax.FunctionCallExpr:
		for i := range n.Args {
			n.Args[i] = meteredArg(n.Name, n.Args[i], wrap)
		}
	}
}

// looksInside are the functions, and the constructors of types, that get their
// arguments as expressions and not as values.
var looksInside = []string{"try", "can", "list", "set", "map", "object", "tuple", "optional"}

func meteredArg(function string, arg hclsyntax.Expression, wrap func(hclsyntax.Expression) hclsyntax.Expression) hclsyntax.Expression {
	if slices.Contains(looksInside, function) {
		return arg
	}
	return wrap(arg)
}

// metered is an expression whose value is paid for.
type metered struct {
	hclsyntax.Expression
	m *meter
}

// Value evaluates and pays.
func (e metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if e.m.spent > maxTotal {
		return cty.DynamicVal, nil // reported once
	}
	v, diags := e.Expression.Value(ctx)
	if diags.HasErrors() {
		return v, diags
	}
	w := weigh(v)
	e.m.spent += w.n
	switch {
	case w.problem() != "":
		return cty.DynamicVal, append(diags, bad(e.Range(), "Value out of bounds", "%s", w.problem()))
	case e.m.spent > maxTotal:
		return cty.DynamicVal, append(diags, e.over())
	}
	return v, diags
}

func (e metered) over() *hcl.Diagnostic {
	return bad(e.Range(), "Too much to evaluate", "The expressions of this file make more than %d elements and bytes on the way. Look for loops inside of loops, and for values that contain each other many times.", maxTotal)
}

// UnwrapExpression lets HCL's static analysis see what is below.
func (e metered) UnwrapExpression() hcl.Expression { return e.Expression }
