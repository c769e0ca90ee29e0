package functions

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"blast.example/blast/config/expression"
)

// bounded refuses a call before it is made if its result would be larger than
// any value may be. An estimate gets known, unmarked, non-null arguments; those
// that it can't read it leaves to the function.
func bounded(f function.Function, estimate func(args []cty.Value) float64) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type:        f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if n := estimate(plain(args)); n > expression.MaxWeight {
				return cty.DynamicVal, fmt.Errorf("the result would have about %.0f elements or bytes, and no value may have more than %d", n, expression.MaxWeight)
			}
			return f.Call(args)
		},
	})
}

// plain are the arguments without marks, and those that can't be read as null.
func plain(args []cty.Value) []cty.Value {
	out := make([]cty.Value, len(args))
	for i, a := range args {
		a, _ = a.UnmarkDeep()
		if !a.IsWhollyKnown() {
			a = cty.NullVal(cty.DynamicPseudoType)
		}
		out[i] = a
	}
	return out
}

func text(v cty.Value) string {
	if v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

func number(v cty.Value) float64 {
	if v.IsNull() || v.Type() != cty.Number {
		return 0
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func length(v cty.Value) float64 {
	if v.IsNull() || !v.CanIterateElements() {
		return 0
	}
	return float64(v.LengthInt())
}

var widths = regexp.MustCompile(`[0-9]{4,}`)

// formatWidth takes any number of four digits for a width: "%9999d".
func formatWidth(args []cty.Value) float64 {
	if len(args) > 0 && strings.Contains(text(args[0]), "%") && widths.MatchString(text(args[0])) {
		return math.MaxInt32
	}
	return 0
}

func indentWidth(args []cty.Value) float64 {
	return number(args[0]) * float64(1+strings.Count(text(args[1]), "\n"))
}

func joined(args []cty.Value) float64 {
	n := 0.0
	for _, l := range args[1:] {
		n += length(l)
	}
	return n * float64(len(text(args[0])))
}

// replaced is exact for plain texts. A regular expression matches at most once
// per byte, and its matches, which "$1" repeats, don't overlap.
func replaced(args []cty.Value) float64 {
	str, old, repl := text(args[0]), text(args[1]), text(args[2])
	if isRegexp(old) {
		return float64(len(str)+1) * float64(len(repl))
	}
	return float64(strings.Count(str, old)) * float64(len(repl))
}

func product(args []cty.Value) float64 {
	n := float64(len(args))
	for _, a := range args {
		n *= length(a)
	}
	return n
}
