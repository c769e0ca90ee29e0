package expression

import (
	"fmt"
	"math/big"

	"github.com/zclconf/go-cty/cty"
)

// Bounds of what a file may compute.
const (
	// MaxWeight bounds one value: its elements and the bytes of its strings.
	MaxWeight = 1 << 18
	// maxTotal bounds the work of all expressions of a file, in the same unit.
	maxTotal = 1 << 21
	// maxExponent bounds numbers, in bits: written out they have a tenth as
	// many thousand digits.
	maxExponent = 4096
)

// weight is what a value costs. Shared parts count as often as they are met, as
// that is how often whoever reads the value meets them; counting stops at the
// bound.
type weight struct {
	n       int
	strange string
}

func (w weight) problem() string {
	switch {
	case w.strange != "":
		return w.strange
	case w.n > MaxWeight:
		return fmt.Sprintf("The value has more than %d elements and bytes. Blast files hold settings; put data into a file that the sandbox reads.", MaxWeight)
	}
	return ""
}

func weigh(v cty.Value) weight {
	var w weight
	w.add(v)
	return w
}

func (w *weight) add(v cty.Value) {
	if w.n++; w.n > MaxWeight || w.strange != "" {
		return
	}
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() {
		return
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		w.n += len(v.AsString())
	case ty == cty.Number:
		w.strange = strangeNumber(v.AsBigFloat())
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if ty.IsObjectType() || ty.IsMapType() {
				w.add(k)
			}
			w.add(e)
			if w.n > MaxWeight || w.strange != "" {
				return
			}
		}
	}
}

func strangeNumber(f *big.Float) string {
	switch {
	case f.IsInf():
		return "The number is infinite. Write a finite number."
	case f.MantExp(nil) > maxExponent || f.MantExp(nil) < -maxExponent:
		return fmt.Sprintf("The number is beyond 2 to the power of %d or too near to zero. Write a number that a computer can hold.", maxExponent)
	}
	return ""
}
