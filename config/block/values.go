package block

import (
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Values is a decoded block. A nil *Values reads as a block with nothing in it.
type Values struct {
	Name       string
	Label      string
	Range      hcl.Range // the block's header
	LabelRange hcl.Range

	attrs  []value // few, so none is looked up in a map
	blocks []*Values
}

// value is an attribute that stands there, readable or not.
type value struct {
	name   string
	of     any // string, []Text, float64, int64, []Whole, bool, []Pair, time.Duration, Bound, Often, hcl.Expression; nil if it can't be read
	where  hcl.Range
	origin Origin
}

// attr is the attribute of that name, or nil.
func (v *Values) attr(name string) *value {
	if v == nil {
		return nil
	}
	for i := range v.attrs {
		if v.attrs[i].name == name {
			return &v.attrs[i]
		}
	}
	return nil
}

// Text is one string of a list.
type Text struct {
	Text  string
	Range hcl.Range
}

// Whole is one number of a list.
type Whole struct {
	N     int64
	Range hcl.Range
}

// Pair is one entry of a map.
type Pair struct {
	Name, Text string
	Range      hcl.Range
	Origin     Origin
}

// Bound is the value of a Limit.
type Bound struct {
	N         uint64
	Unlimited bool
}

func get[T any](v *Values, name string) (T, bool) {
	if a := v.attr(name); a != nil {
		t, ok := a.of.(T)
		return t, ok
	}
	var zero T
	return zero, false
}

// Has reports whether the attribute was written, is not null and could be read.
func (v *Values) Has(name string) bool {
	a := v.attr(name)
	return a != nil && a.of != nil
}

// Wrote reports whether the attribute stands there, be it unreadable.
func (v *Values) Wrote(name string) bool {
	return v.attr(name) != nil
}

// String reads a String; without one it is or.
func (v *Values) String(name, or string) string {
	if s, ok := get[string](v, name); ok {
		return s
	}
	return or
}

// Strings reads a Strings.
func (v *Values) Strings(name string) []Text { t, _ := get[[]Text](v, name); return t }

// Ints reads an Ints.
func (v *Values) Ints(name string) []Whole { w, _ := get[[]Whole](v, name); return w }

// Pairs reads a StringMap, sorted by name.
func (v *Values) Pairs(name string) []Pair { p, _ := get[[]Pair](v, name); return p }

// Number reads a Number.
func (v *Values) Number(name string) (float64, bool) { return get[float64](v, name) }

// Int reads an Int, a Size as bytes, or a BitRate as bits per second.
func (v *Values) Int(name string) (int64, bool) { return get[int64](v, name) }

// Bool reads a Bool; without one it is or.
func (v *Values) Bool(name string, or bool) bool {
	if b, ok := get[bool](v, name); ok {
		return b
	}
	return or
}

// Duration reads a Duration.
func (v *Values) Duration(name string) (time.Duration, bool) { return get[time.Duration](v, name) }

// Bound reads a Limit.
func (v *Values) Bound(name string) (Bound, bool) { return get[Bound](v, name) }

// Often reads a Frequency.
func (v *Values) Often(name string) (Often, bool) { return get[Often](v, name) }

// Expression returns an Expression as it stands, or nil.
func (v *Values) Expression(name string) hcl.Expression {
	e, _ := get[hcl.Expression](v, name)
	return e
}

// At is where the value of the attribute stands, or else the block.
func (v *Values) At(name string) hcl.Range {
	if a := v.attr(name); a != nil && a.of != nil {
		return a.where
	}
	return v.Range
}

// Block returns the one block of that name, or nil.
func (v *Values) Block(name string) *Values {
	if bs := v.Blocks(name); len(bs) > 0 {
		return bs[0]
	}
	return nil
}

// Blocks returns all blocks of that name, in the order of the file.
func (v *Values) Blocks(name string) []*Values {
	var out []*Values
	if v == nil {
		return nil
	}
	for _, b := range v.blocks {
		if b.Name == name {
			out = append(out, b)
		}
	}
	return out
}
