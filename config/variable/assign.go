package variable

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
	"blast.example/blast/config/nearest"
	"blast.example/blast/config/source"
	"blast.example/blast/plan"
)

// Sources are where values come from, weakest first: BLAST_VAR_NAME of the
// environment, *.auto.blastvars of the project by name, --var-file in order,
// --var in order.
type Sources struct {
	Project string
	Environ []string
	Files   []string
	Vars    []string

	// Parse reads a file of values and reports what is wrong with it.
	Parse func(name, path string) *hclsyntax.Body
}

const environPrefix = "BLAST_VAR_"

// AutoSuffix ends the names of files of the project that are read unasked.
const AutoSuffix = ".auto.blastvars"

// Values are the values of variables by name. One that could not be found out is
// unknown, and the reason was reported.
type Values map[string]given

type given struct {
	value cty.Value
	at    hcl.Range
	from  string // what gave it, if no file of values did: "--var NAME", "BLAST_VAR_NAME", "default"
	place string // where the value itself stands, if in a file
}

// Object is what "var" means in an expression.
func (vs Values) Object() cty.Value {
	out := make(map[string]cty.Value, len(vs))
	for name, g := range vs {
		out[name] = g.value
	}
	return cty.ObjectVal(out)
}

// Digests are digests of the values by name. A sensitive value has none: what is short
// could be guessed from it.
func (vs Values) Digests() map[string]string {
	out := map[string]string{}
	for name, g := range vs {
		if g.value.ContainsMarked() {
			continue
		}
		if b, err := ctyjson.Marshal(g.value, cty.DynamicPseudoType); err == nil {
			out[name] = plan.DigestOf(b)
		}
	}
	return out
}

// Assign gives each declared variable its value.
func Assign(decls []Declaration, src Sources) (Values, hcl.Diagnostics) {
	a := &assignment{values: Values{}, byName: map[string]Declaration{}}
	for _, d := range decls {
		a.byName[d.Name] = d
	}
	a.environ(src.Environ)
	for _, name := range autoFiles(src.Project) {
		a.file(src.Parse(name, filepath.Join(src.Project, name)))
	}
	for _, name := range src.Files {
		a.file(src.Parse(name, name))
	}
	for _, v := range src.Vars {
		a.flag(v)
	}
	a.rest(decls)
	return a.values, a.diags
}

func autoFiles(project string) []string {
	es, err := os.ReadDir(project) // sorted by name
	if err != nil {
		return nil // blast.hcl was just read from there
	}
	var out []string
	for _, e := range es {
		if strings.HasSuffix(e.Name(), AutoSuffix) {
			out = append(out, e.Name())
		}
	}
	return out
}

type assignment struct {
	byName map[string]Declaration
	values Values
	diags  hcl.Diagnostics
}

func (a *assignment) report(d *hcl.Diagnostic) { a.diags = append(a.diags, d) }

func (a *assignment) set(d Declaration, v cty.Value, at hcl.Range, from string) {
	out, problem := d.convert(v, at)
	if problem != nil {
		a.report(problem)
	}
	g := given{value: out, at: at, from: from}
	if from == "" {
		g.place = block.Place(at)
	}
	a.values[d.Name] = g
}

// environ takes the variables that are declared; others may be meant for other
// projects.
func (a *assignment) environ(environ []string) {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		rest, ours := strings.CutPrefix(name, environPrefix)
		if d, declared := a.byName[rest]; ours && declared {
			a.text(d, value, name)
		}
	}
}

func (a *assignment) file(body *hclsyntax.Body) {
	if body == nil {
		return
	}
	for _, b := range body.Blocks {
		a.report(block.Errorf(b.TypeRange, "Unknown block", "A file of variable values holds NAME = VALUE and no blocks. Put %s into blast.hcl.", b.Type))
	}
	for _, attr := range inOrder(body.Attributes) {
		d, declared := a.byName[attr.Name]
		if !declared {
			a.report(a.unknown(attr.NameRange, attr.Name))
			continue
		}
		v, diags := expression.Value(attr.Expr, &hcl.EvalContext{})
		if diags.HasErrors() && d.Sensitive { // it would be repeated: "there is nothing named hunter2"
			diags = hcl.Diagnostics{block.Errorf(attr.Expr.Range(), "Unreadable value", "var.%s is sensitive, so what is wrong with its value isn't shown. A text stands in quotes: %s = \"...\".", d.Name, d.Name)}
		}
		if a.diags = append(a.diags, diags...); diags.HasErrors() {
			a.values[d.Name] = given{value: cty.DynamicVal, at: attr.Expr.Range()}
			continue
		}
		a.set(d, v, attr.Expr.Range(), "")
	}
}

func inOrder(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(x, y *hclsyntax.Attribute) int {
		return x.SrcRange.Start.Byte - y.SrcRange.Start.Byte
	})
}

func (a *assignment) unknown(at hcl.Range, name string) *hcl.Diagnostic {
	return block.Errorf(at, "Unknown variable", "No variable %q is declared in blast.hcl, so a value for it changes nothing.%s", name, nearest.Hint(name, slices.Collect(maps.Keys(a.byName))))
}

func (a *assignment) flag(text string) {
	name, value, ok := strings.Cut(text, "=")
	at := hcl.Range{Filename: "--var " + name, Start: hcl.InitialPos, End: hcl.InitialPos}
	if !ok {
		at.Filename = "--var"
		a.report(block.Errorf(at, "Invalid --var", "--var takes NAME=VALUE, and there is no equals sign in it. Write for example: --var python=3.12."))
		return
	}
	d, declared := a.byName[name]
	if !declared {
		a.report(a.unknown(at, name))
		return
	}
	a.text(d, value, at.Filename)
}

// text takes a value as it is for a primitive type, and as an expression for
// others, as Terraform does.
func (a *assignment) text(d Declaration, text, from string) {
	at := hcl.Range{Filename: from, Start: hcl.InitialPos, End: hcl.InitialPos}
	if d.Type.IsPrimitiveType() || d.Type == cty.DynamicPseudoType {
		a.set(d, cty.StringVal(text), at, from)
		return
	}
	expr, diags := source.Expression(from, text)
	v := cty.DynamicVal
	if !diags.HasErrors() {
		v, diags = expression.Value(expr, &hcl.EvalContext{})
	}
	if diags.HasErrors() {
		why := diags[0].Detail
		if d.Sensitive {
			why = "why isn't shown, as it is sensitive."
		}
		a.report(block.Errorf(at, "Unreadable value", "var.%s is no string, so its value is read as an expression, and that fails: %s Write for example: '[\"a\", \"b\"]'.", d.Name, why))
		a.values[d.Name] = given{value: cty.DynamicVal, at: at}
		return
	}
	a.set(d, v, at, from)
}

// rest gives defaults to those without a value.
func (a *assignment) rest(decls []Declaration) {
	for _, d := range decls {
		if _, done := a.values[d.Name]; done {
			continue
		}
		v := d.fallback
		if v == cty.NilVal {
			v = cty.DynamicVal
			a.report(block.Errorf(d.Range, "Variable without a value", "var.%s has no default, and nothing gives it a value. Use --var %s=VALUE, a file *%s, or %s%s.", d.Name, d.Name, AutoSuffix, environPrefix, d.Name))
		}
		a.values[d.Name] = given{v, d.Range, "default", block.Place(d.defaultAt)}
	}
}

// Validate checks the values against the validation blocks.
func Validate(decls []Declaration, values Values, ctx *hcl.EvalContext) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, d := range decls {
		for _, v := range d.validations {
			diags = append(diags, d.validate(v, values[d.Name].at, ctx)...)
		}
	}
	return diags
}

func (d Declaration) validate(v *block.Values, at hcl.Range, ctx *hcl.EvalContext) hcl.Diagnostics {
	condition, message := v.Expression("condition"), v.Expression("error_message")
	if condition == nil || message == nil {
		return nil // reported
	}
	result, diags := expression.Value(condition, ctx)
	text, more := expression.Value(message, ctx)
	diags = append(diags, more...)
	result, _ = result.Unmark()
	switch {
	case diags.HasErrors() || !result.IsKnown():
		return diags
	case result.IsNull() || result.Type() != cty.Bool:
		return append(diags, block.Errorf(condition.Range(), "Wrong type of value", "A condition must be true or false. Write a comparison, such as length(var.%s) > 0.", d.Name))
	case result.True():
		return diags
	}
	return append(diags, block.Errorf(at, "Invalid value for a variable", "%s This is checked by the validation at %s.", sentence(text), block.Place(v.Range)))
}

// sentence is the message, unless it would show what is sensitive.
func sentence(v cty.Value) string {
	if v.IsMarked() {
		return "The value is not valid (the message is made of a sensitive value)."
	}
	if !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "The value is not valid."
	}
	s := strings.TrimSpace(v.AsString())
	if s == "" || !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return fmt.Sprint(s)
}
