package config

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
)

// Output is a value that is shown after an apply.
type Output struct {
	Name  string
	Text  string          // as blast.hcl would write it
	Value json.RawMessage // nil if it is sensitive
	Type  json.RawMessage // as cty writes it: "string"; nil if it is sensitive
}

// outputs evaluates the output blocks, beside what the environments say.
func (l *loader) outputs(blocks []*hclsyntax.Block, envs []section) {
	v, diags := l.top(blocks)
	l.report(diags...)
	if len(blocks) == 0 {
		return
	}
	ctx := l.eval.NewChild()
	ctx.Variables = map[string]cty.Value{"environment": l.written(envs)}
	for _, o := range v.Blocks("output") {
		expr := o.Expression("value")
		if expr == nil {
			continue // reported
		}
		val, diags := expression.Value(expr, ctx)
		l.report(diags...)
		if diags.HasErrors() || !val.IsWhollyKnown() {
			continue
		}
		if out, err := output(o, val); err != nil {
			l.report(block.Errorf(o.At("value"), "Invalid output", "output %q can't be shown: %v.", o.Label, err))
		} else {
			l.file.Outputs = append(l.file.Outputs, out)
		}
	}
}

func output(o *block.Values, val cty.Value) (Output, error) {
	out := Output{Name: o.Label, Text: "(sensitive value)"}
	if o.Bool("sensitive", false) || val.ContainsMarked() {
		return out, nil
	}
	var err error
	if out.Type, err = ctyjson.MarshalType(val.Type()); err != nil {
		return out, err
	}
	out.Value, err = ctyjson.Marshal(val, val.Type())
	out.Text = string(hclwrite.TokensForValue(val).Bytes())
	return out, err
}

// written is what the environments say, as an object: environment.dev.network.default.
// Only what is written has a value there; defaults are the kinds' own.
func (l *loader) written(envs []section) cty.Value {
	all := map[string]cty.Value{}
	for _, e := range envs {
		all[e.name] = l.writtenIn(e.body)
	}
	return cty.ObjectVal(all)
}

func (l *loader) writtenIn(body *hclsyntax.Body) cty.Value {
	out := map[string]cty.Value{}
	for name, a := range body.Attributes {
		v, diags := expression.Value(a.Expr, l.eval)
		if out[name] = v; diags.HasErrors() { // reported where it is meant
			out[name] = cty.DynamicVal
		}
	}
	labelled := map[string]map[string]cty.Value{}
	for _, b := range body.Blocks {
		switch v := l.writtenIn(b.Body); len(b.Labels) {
		case 0:
			out[b.Type] = v
		case 1:
			if labelled[b.Type] == nil {
				labelled[b.Type] = map[string]cty.Value{}
			}
			labelled[b.Type][b.Labels[0]] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(labelled)) {
		out[name] = cty.ObjectVal(labelled[name])
	}
	return cty.ObjectVal(out)
}
