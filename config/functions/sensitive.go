package functions

import (
	"errors"

	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"blast.example/blast/config/expression"
)

// anyValue is a parameter that takes whatever there is, as it is.
var anyValue = []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}}

func typeOfFirst(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil }

var sensitiveFunc = function.New(&function.Spec{
	Description: "The value, which from here on must not be shown or stored.",
	Params:      anyValue,
	Type:        typeOfFirst,
	Impl:        func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0].Mark(expression.Sensitive), nil },
})

// nonsensitiveFunc takes the mark off the value itself and not off what is in it, as
// Terraform's.
var nonsensitiveFunc = function.New(&function.Spec{
	Description: "The value, which from here on may be shown and stored.",
	Params:      anyValue,
	Type:        typeOfFirst,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, _ := args[0].Unmark()
		return v, nil
	},
})

// tried is try or can: whether an expression of something sensitive fails tells
// something of it, so the result is sensitive, too.
func tried(f function.Function) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type:        f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			for _, a := range args {
				c := customdecode.ExpressionClosureFromVal(a)
				if err == nil && expression.Sensitivity(c.Expression, c.EvalContext) {
					v = v.Mark(expression.Sensitive)
				}
			}
			return v, err
		},
	})
}

// errSensitivePath is why no file is read whose name is made of something sensitive.
var errSensitivePath = errors.New("the path is made of a sensitive value, and which files are read is shown")
