package variable

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
)

// convert makes val what the variable's type says; if it can't, the result is
// unknown and the diagnostic says why.
func (d Declaration) convert(val cty.Value, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	if val.IsNull() && !d.Nullable {
		if d.fallback != cty.NilVal {
			return d.fallback, nil
		}
		return cty.DynamicVal, block.Errorf(at, "Null for a variable", "var.%s is declared with nullable = false, and gets null. Give it a value.", d.Name)
	}
	if d.defaults != nil && !val.IsNull() {
		val = d.defaults.Apply(val)
	}
	if path, v := textless(val, d.Type); path != "" {
		if d.Sensitive { // the keys of a map may be
			path = "."
		}
		return cty.DynamicVal, block.Errorf(at, "Wrong type of value", "var.%s%s is a string, and gets %s. Strings are strings, as 3.10 is another version than 3.1: write it in quotes.", d.Name, path[1:], found(v))
	}
	out, err := convert.Convert(val, d.Type)
	if err != nil {
		return cty.DynamicVal, block.Errorf(at, "Wrong type of value", "var.%s is declared as %s, and gets %s: %v.", d.Name, typeexpr.TypeString(d.Type), found(val), err)
	}
	if d.Sensitive {
		out = out.Mark(expression.Sensitive)
	}
	return out, nil
}

func found(v cty.Value) string {
	switch ty := v.Type(); ty {
	case cty.String:
		return "a string"
	case cty.Number:
		return "a number"
	case cty.Bool:
		return "true or false"
	default:
		return "a value of type " + ty.FriendlyName()
	}
}

// textless finds a number or bool where the type says string, which a conversion
// would accept. It returns "." and the path to it, or "".
func textless(v cty.Value, ty cty.Type) (string, cty.Value) {
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() {
		return "", v
	}
	if ty == cty.String && (v.Type() == cty.Number || v.Type() == cty.Bool) {
		return ".", v
	}
	if !v.CanIterateElements() || ty.IsPrimitiveType() {
		return "", v
	}
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		k, e := it.Element()
		if inner, name := elementType(ty, k, i); inner != cty.NilType {
			if p, wrong := textless(e, inner); p != "" {
				return "." + name + p[1:], wrong
			}
		}
	}
	return "", v
}

// elementType is the type that ty wants for an element, and how it is named.
func elementType(ty cty.Type, key cty.Value, i int) (cty.Type, string) {
	text := ""
	if key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
		text = key.AsString()
	}
	switch {
	case ty.IsObjectType() && text != "" && ty.HasAttribute(text):
		return ty.AttributeType(text), "." + text
	case ty.IsMapType():
		return ty.ElementType(), "." + text
	case ty.IsListType() || ty.IsSetType():
		return ty.ElementType(), fmt.Sprintf("[%d]", i)
	case ty.IsTupleType() && i < ty.Length():
		return ty.TupleElementType(i), fmt.Sprintf("[%d]", i)
	}
	return cty.NilType, ""
}
