// Package variable reads the variables of a blast.hcl: what is declared, and
// which values they get from files, the command line and the environment, in
// Terraform's order of precedence.
package variable

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
)

// Spec is the variable block.
var Spec = block.Block{
	Name: "variable", Label: "name", Doc: "A value that is given from outside.",
	Attrs: []block.Attr{
		{Name: "type", Kind: block.Expression, Doc: "string, number, bool, list(...), set(...), map(...), object({...}), tuple([...]) or any."},
		{Name: "default", Kind: block.Expression, Doc: "The value if none is given. Without a default one must be given."},
		{Name: "description", Kind: block.String, Doc: "What it is for."},
		{Name: "sensitive", Kind: block.Bool, Default: "false", Doc: "The value is never shown, and no attribute of a block, which is stored, may be made of it: that is what a secret block is for. Give it by BLAST_VAR_NAME or a file, as other users of the machine see the arguments of --var. A default stands in blast.hcl, for all to read."},
		{Name: "nullable", Kind: block.Bool, Doc: "Whether null is a value. Default true."},
	},
	Blocks: []block.Block{{
		Name: "validation", Many: true, Doc: "A condition that the value must meet.",
		Attrs: []block.Attr{
			{Name: "condition", Kind: block.Expression, Required: true, Example: "length(var.name) > 0", Doc: "True if the value is good."},
			{Name: "error_message", Kind: block.Expression, Required: true, Example: `"The name is empty."`, Doc: "What to tell if not."},
		},
	}},
}

// Declaration is one variable block.
type Declaration struct {
	Name      string
	Range     hcl.Range
	Type      cty.Type
	Sensitive bool // also if what says so can't be read
	Nullable  bool

	defaults    *typeexpr.Defaults // of optional attributes of objects
	fallback    cty.Value          // the default, converted; cty.NilVal if there is none
	defaultAt   hcl.Range
	validations []*block.Values
}

// Declared reads the variable blocks. A default may call functions, but refer to
// nothing.
func Declared(blocks []*hclsyntax.Block, ctx *hcl.EvalContext) ([]Declaration, hcl.Diagnostics) {
	content := &hcl.BodyContent{}
	for _, b := range blocks {
		content.Blocks = append(content.Blocks, b.AsHCLBlock())
	}
	bare := &hcl.EvalContext{Functions: ctx.Functions, Variables: map[string]cty.Value{}}
	root, diags := block.Reader{Eval: bare}.Content(content, nil, []block.Block{Spec})
	var decls []Declaration
	for _, v := range root.Blocks("variable") {
		if !hclsyntax.ValidIdentifier(v.Label) {
			diags = append(diags, block.Errorf(v.LabelRange, "Invalid name", "A variable can't be called %q: names begin with a letter and hold letters, digits, - and _.", v.Label))
			continue
		}
		d, more := declare(v, bare)
		decls, diags = append(decls, d), append(diags, more...)
	}
	return decls, diags
}

func declare(v *block.Values, ctx *hcl.EvalContext) (Declaration, hcl.Diagnostics) {
	d := Declaration{
		Name: v.Label, Range: v.Range, Type: cty.DynamicPseudoType, fallback: cty.NilVal,
		Sensitive: v.Bool("sensitive", v.Wrote("sensitive")), Nullable: v.Bool("nullable", true), validations: v.Blocks("validation"),
	}
	var diags hcl.Diagnostics
	if expr := v.Expression("type"); expr != nil {
		ty, defaults, more := typeexpr.TypeConstraintWithDefaults(expr)
		if more.HasErrors() {
			diags = append(diags, typeProblem(expr, more))
		} else {
			d.Type, d.defaults = ty, defaults
		}
	}
	if expr := v.Expression("default"); expr != nil {
		val, more := expression.Value(expr, ctx)
		diags = append(diags, more...)
		fallback := cty.DynamicVal
		if !more.HasErrors() {
			var problem *hcl.Diagnostic
			if fallback, problem = d.convert(val, expr.Range()); problem != nil {
				diags = append(diags, problem)
			}
		}
		d.fallback, d.defaultAt = fallback, expr.Range()
	}
	return d, diags
}

// typeProblem makes one diagnostic of the several that a type of two mistakes
// would give, and adds what types there are.
func typeProblem(expr hcl.Expression, diags hcl.Diagnostics) *hcl.Diagnostic {
	at := expr.Range()
	if s := diags[0].Subject; s != nil {
		at = *s
	}
	return block.Errorf(at, "Invalid type", "%s Types are string, number, bool, list(T), set(T), map(T), object({ name = T }), tuple([T]) and any, without quotes.",
		strings.TrimSuffix(strings.TrimSpace(diags[0].Detail), ".")+".")
}
