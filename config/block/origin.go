package block

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
)

// An Origin is where a value came from: its place in the configuration, and the
// variables that it was made of.
type Origin struct {
	Place string
	By    plan.Makers
}

// Origins are those of an object's items, by name; "" is the object itself.
type Origins map[string]Origin

// Object makes an object that tells where its items came from.
func (o Origins) Object(addr string, attrs any) plan.Object {
	src, by := make(map[string]string, len(o)), map[string]plan.Makers{}
	for name, from := range o {
		if src[name] = from.Place; len(from.By) > 0 {
			by[name] = from.By
		}
	}
	obj := plan.NewObject(addr, attrs, src)
	if len(by) > 0 {
		obj.By = by
	}
	return obj
}

// Sources notes where the block and each of its values came from, under prefix:
// "cpu" and "cpu.quota". The block was made of whatever its values were made of.
func (v *Values) Sources(to Origins, prefix string) {
	if v == nil {
		return
	}
	whole := Origin{Place: Place(v.Range)}
	attrs := make([]*value, len(v.attrs))
	for i := range v.attrs {
		attrs[i] = &v.attrs[i]
	}
	slices.SortFunc(attrs, func(a, b *value) int { return strings.Compare(a.name, b.name) })
	for _, a := range attrs {
		to[join(prefix, a.name)] = a.origin
		if prefix != "" { // no item is called ""
			whole.By = whole.By.With(a.origin.By...)
		}
	}
	to[prefix] = whole
}

// Origin is where the value of an attribute came from.
func (v *Values) Origin(name string) Origin {
	if a := v.attr(name); a != nil {
		return a.origin
	}
	return Origin{}
}

// Place writes a range as blast.hcl:12.
func Place(r hcl.Range) string {
	if r.Filename == "" {
		return ""
	}
	return r.Filename + ":" + strconv.Itoa(r.Start.Line)
}

// RangeOf reads what Place wrote; nil is for what it didn't.
func RangeOf(place string) *hcl.Range {
	i := strings.LastIndexByte(place, ':')
	if i < 0 {
		return nil
	}
	n, err := strconv.Atoi(place[i+1:])
	if err != nil {
		return nil
	}
	pos := hcl.Pos{Line: n, Column: 1}
	return &hcl.Range{Filename: place[:i], Start: pos, End: pos}
}
