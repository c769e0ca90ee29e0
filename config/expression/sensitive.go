package expression

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

type mark string

// Sensitive is the mark of a value that must not be shown or stored, and of all that
// is made of it.
const Sensitive = mark("sensitive")

// Sensitivity reports whether anything that expr refers to is sensitive. If so, even
// that it fails tells something.
func Sensitivity(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range expr.Variables() {
		if t.IsRelative() {
			continue
		}
		v, diags := t.TraverseAbs(ctx)
		if diags.HasErrors() { // it leads nowhere, from something that may be
			v = root(ctx, t.RootName())
		}
		if v.ContainsMarked() {
			return true
		}
	}
	return false
}

func root(ctx *hcl.EvalContext, name string) cty.Value {
	for c := ctx; c != nil; c = c.Parent() {
		if v, ok := c.Variables[name]; ok {
			return v
		}
	}
	return cty.DynamicVal
}

// declassify is the function that takes the mark off.
const declassify = "nonsensitive"

// public makes a use of it known, each time that the file is read.
func public(call *hclsyntax.FunctionCallExpr) *hcl.Diagnostic {
	d := bad(call.NameRange, "Sensitive value made public", "nonsensitive takes the mark off a value: from here on it may stand in plans, state and logs.")
	d.Severity = hcl.DiagWarning
	return d
}
