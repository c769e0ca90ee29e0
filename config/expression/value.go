// Package expression evaluates what stands to the right of an equals sign. It
// looks at the names before HCL does, so that each unknown variable, local,
// function or attribute is reported with the name that was probably meant; and
// it bounds the work, as a file of a few lines can ask for gigabytes.
package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/nearest"
)

// NotYet are functions of the language that this version does not have.
var NotYet = []string{"templatefile", "yamldecode", "yamlencode"}

// Value evaluates expr. If that fails it returns an unknown value and says why;
// who meets an unknown value can rely on its cause having been reported.
func Value(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	if !Literal(expr) {
		if diags = append(functionNames(expr, ctx), names(expr, ctx)...); diags.HasErrors() {
			return cty.DynamicVal, diags
		}
	}
	v, more := expr.Value(ctx)
	hide := len(more) > 0 && Sensitivity(expr, ctx)
	for _, d := range more {
		// The writer of diagnostics would show the values of variables.
		d.Expression, d.EvalContext = nil, nil
		if hide { // a function says what it was given
			d.Extra = nil
			d.Detail = "The expression is made of a sensitive value, so what is wrong with it isn't shown. Try it with another value, in a variable that isn't sensitive."
		}
	}
	diags = append(diags, more...)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	if problem := weigh(v).problem(); problem != "" {
		return cty.DynamicVal, append(diags, bad(expr.Range(), "Value out of bounds", "%s", problem))
	}
	return v, diags
}

// Literal reports whether an expression is its own value: no names, no calls. Most are,
// and there is nothing to look for in them.
func Literal(expr hcl.Expression) bool {
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return true
	case *hclsyntax.TemplateExpr:
		return len(e.Parts) == 1 && Literal(e.Parts[0])
	case *hclsyntax.TupleConsExpr:
		return !slices.ContainsFunc(e.Exprs, func(e hclsyntax.Expression) bool { return !Literal(e) })
	}
	return false
}

func bad(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: at.Ptr()}
}

// functionNames reports calls of functions that don't exist.
func functionNames(expr hcl.Expression, ctx *hcl.EvalContext) hcl.Diagnostics {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return nil
	}
	var diags hcl.Diagnostics
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		switch {
		case !ok:
		case hasFunction(ctx, call.Name) && call.Name == declassify:
			diags = append(diags, public(call))
		case hasFunction(ctx, call.Name):
		case slices.Contains(NotYet, call.Name):
			diags = append(diags, bad(call.NameRange, "Not supported yet", "The function %s is not supported yet by this version of Blast. Write the value itself.", call.Name))
		default:
			diags = append(diags, bad(call.NameRange, "Unknown function", "There is no function named %q.%s", call.Name, nearest.Hint(call.Name, functions(ctx))))
		}
		return nil
	})
	return diags
}

func hasFunction(ctx *hcl.EvalContext, name string) bool {
	for ; ctx != nil; ctx = ctx.Parent() {
		if _, ok := ctx.Functions[name]; ok {
			return true
		}
	}
	return false
}

func functions(ctx *hcl.EvalContext) []string {
	var out []string
	for ; ctx != nil; ctx = ctx.Parent() {
		out = slices.AppendSeq(out, maps.Keys(ctx.Functions))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// names reports references to what doesn't exist.
func names(expr hcl.Expression, ctx *hcl.EvalContext) hcl.Diagnostics {
	used := expr.Variables()
	if len(used) == 0 {
		return nil
	}
	roots := map[string]cty.Value{}
	for c := ctx; c != nil; c = c.Parent() {
		for name, v := range c.Variables {
			if _, shadowed := roots[name]; !shadowed {
				roots[name] = v
			}
		}
	}
	var diags hcl.Diagnostics
	for _, t := range used {
		if t.IsRelative() {
			continue
		}
		root, ok := roots[t.RootName()]
		if !ok {
			diags = append(diags, unknownRoot(t, slices.Collect(maps.Keys(roots))))
			continue
		}
		if d := follow(t, root); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}

func unknownRoot(t hcl.Traversal, known []string) *hcl.Diagnostic {
	name := t.RootName()
	if len(t) > 1 {
		return bad(t.SourceRange(), "Unknown name", "There is nothing named %q here; values are named var.NAME and local.NAME.%s", name, nearest.Hint(name, known))
	}
	return bad(t.SourceRange(), "Unknown name", "There is nothing named %q here; values are named var.NAME and local.NAME. If it is a text, write it in quotes: %q.", name, name)
}

// follow walks a traversal as long as it leads through objects.
func follow(t hcl.Traversal, v cty.Value) *hcl.Diagnostic {
	path := t.RootName()
	for _, step := range t[1:] {
		name, at, ok := stepName(step)
		hide := v.IsMarked()
		v, _ = v.Unmark()
		if !ok || !v.IsKnown() || v.IsNull() || !v.Type().IsObjectType() {
			return nil
		}
		if !v.Type().HasAttribute(name) && hide {
			return bad(at, "Unknown attribute", "%s has no attribute %q, and is sensitive, so those that it has aren't shown.", path, name)
		}
		if !v.Type().HasAttribute(name) {
			return missing(path, name, at, slices.Sorted(maps.Keys(v.Type().AttributeTypes())))
		}
		path += "." + name
		v = v.GetAttr(name)
	}
	return nil
}

func stepName(step hcl.Traverser) (name string, at hcl.Range, ok bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, s.SrcRange, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			k, _ := s.Key.Unmark()
			return k.AsString(), s.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}

func missing(path, name string, at hcl.Range, known []string) *hcl.Diagnostic {
	hint := nearest.Hint(name, known)
	switch path {
	case "var":
		return bad(at, "Unknown variable", "No variable %q is declared.%s Declare it: variable %q { type = string }.", name, hint, name)
	case "local":
		return bad(at, "Unknown local", "No local value %q is declared in a locals block.%s", name, hint)
	case "path":
		return bad(at, "Unknown name", "path has no %q; there are path.module and path.root.%s", name, hint)
	}
	if hint == "" && len(known) > 0 {
		hint = " There are: " + strings.Join(known[:min(len(known), 10)], ", ") + "."
	}
	return bad(at, "Unknown attribute", "%s has no attribute %q.%s", path, name, hint)
}
