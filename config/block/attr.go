package block

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/expression"
	"blast.example/blast/config/nearest"
)

// attr evaluates one attribute and stores it in v if it is what it should be.
func (d *decoder) attr(v *Values, path string, spec *Attr, attr *hcl.Attribute) {
	at := attr.Expr.Range()
	v.attrs = append(v.attrs, value{name: spec.Name, where: at, origin: d.origin(at, spec.Private, attr.Expr)})
	read := &v.attrs[len(v.attrs)-1]
	if spec.Kind == Expression {
		read.of = attr.Expr
		return
	}
	val, diags := expression.Value(attr.Expr, d.Eval)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return
	}
	if !expression.Literal(attr.Expr) && val.ContainsMarked() {
		d.report(Errorf(attr.Expr.Range(), "Sensitive value would be stored",
			"%s is made of a sensitive value, and plans, state and logs would hold it. If it may be known, write nonsensitive(...). Else give it to commands by a block that holds only where it comes from:\n  secret \"NAME\" {\n    from = \"env:NAME\"\n  }", join(path, spec.Name)))
		return
	}
	if val.IsNull() || !val.IsWhollyKnown() {
		return // null is as not written; what is unknown was reported elsewhere
	}
	c := converter{decoder: d, Attr: spec, within: path, index: -1, expr: attr.Expr}
	if of, ok := c.convert(val); ok {
		read.of = of
	}
}

func (a Attr) example() string {
	if a.Example != "" {
		return a.Example
	}
	if len(a.OneOf) > 0 {
		return fmt.Sprintf("%q", a.OneOf[0])
	}
	return map[Kind]string{
		String: `"text"`, Strings: `["text"]`, Number: "0.5", Int: "1", Ints: "[443]", Bool: "true",
		StringMap: `{ NAME = "text" }`, Size: `"512MiB"`, Duration: `"50ms"`, Limit: "1024",
		BitRate: `"10mbit"`, Frequency: `"20/s"`,
	}[a.Kind]
}

// converter checks one attribute's value.
type converter struct {
	*decoder
	*Attr
	within string // the path of what it is in
	index  int    // of a list's element, or -1
	expr   hcl.Expression
}

// path names what is checked.
func (c *converter) path() string {
	path := join(c.within, c.Name)
	if c.index >= 0 {
		path = fmt.Sprintf("%s[%d]", path, c.index)
	}
	return path
}

func (c *converter) convert(v cty.Value) (any, bool) {
	at := c.expr.Range()
	switch c.Kind {
	case String:
		return boxed(c.text(v, at))
	case Strings:
		return boxed(list(c, v, (*converter).item))
	case Number:
		return boxed(c.number(v))
	case Int:
		return boxed(c.whole(v, at))
	case Ints:
		return boxed(list(c, v, func(c *converter, e cty.Value, r hcl.Range) (Whole, bool) {
			n, good := c.whole(e, r)
			return Whole{n, r}, good
		}))
	case Bool:
		return boxed(c.boolean(v))
	case StringMap:
		return boxed(c.pairs(v))
	case Size:
		return boxed(c.size(v))
	case Duration:
		return boxed(c.duration(v))
	case Limit:
		return boxed(c.limit(v))
	case BitRate:
		return boxed(c.bitRate(v))
	case Frequency:
		return boxed(c.frequency(v))
	}
	return nil, false
}

func boxed[T any](v T, good bool) (any, bool) { return v, good }

// wrong reports a value of the wrong type with the value to write instead.
func (c *converter) wrong(at hcl.Range, want, found, fix string) {
	c.report(Errorf(at, "Wrong type of value", "%s must be %s, and this is %s. %s", c.path(), want, found, fix))
}

func describe(v cty.Value) string {
	switch ty := v.Type(); {
	case v.IsNull():
		return "null"
	case ty == cty.String:
		return "a string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		return "a list"
	case ty.IsObjectType() || ty.IsMapType():
		return "a map"
	}
	return "something else"
}

func (c *converter) text(v cty.Value, at hcl.Range) (string, bool) {
	switch {
	case v.IsNull() || v.Type() != cty.String:
		fix := fmt.Sprintf("Write: %s = %s.", c.Name, c.example())
		if s, simple := c.written(v, at); simple {
			fix = fmt.Sprintf("Strings are strings: write \"%s\".", s)
		}
		c.wrong(at, "a string", describe(v), fix)
		return "", false
	case strings.ContainsRune(v.AsString(), 0):
		c.report(Errorf(at, "NUL character in a string", "%s contains a NUL character, which ends strings in the kernel. Remove it.", c.path()))
		return "", false
	}
	return c.oneOf(v.AsString(), at)
}

// written is how a number or a bool stands in the file: 3.10 is another version
// than 3.1, and as a number it is the same.
func (c *converter) written(v cty.Value, at hcl.Range) (string, bool) {
	if v.IsNull() {
		return "", false
	}
	if f := c.Files[at.Filename]; f != nil && at.CanSliceBytes(f.Bytes) {
		if s := string(at.SliceBytes(f.Bytes)); plainWord.MatchString(s) {
			return s, true
		}
	}
	switch v.Type() {
	case cty.Number:
		return v.AsBigFloat().Text('f', -1), true
	case cty.Bool:
		return fmt.Sprint(v.True()), true
	}
	return "", false
}

var plainWord = regexp.MustCompile(`^[-0-9.a-zA-Z]+$`)

func (c *converter) oneOf(s string, at hcl.Range) (string, bool) {
	switch {
	case slices.Contains(c.NotYet, s):
		c.report(NotYet(at, fmt.Sprintf("%s = %q", c.path(), s), c.choices()))
		return "", false
	case len(c.OneOf) > 0 && !slices.Contains(c.OneOf, s):
		c.report(Errorf(at, "Value not allowed", "%s can't be %q.%s %s", c.path(), s, nearest.Hint(s, c.OneOf), c.choices()))
		return "", false
	}
	return s, true
}

func (c *converter) choices() string {
	quoted := make([]string, len(c.OneOf))
	for i, o := range c.OneOf {
		quoted[i] = fmt.Sprintf("%q", o)
	}
	if len(quoted) == 0 {
		return ""
	}
	return "Write " + strings.Join(quoted, " or ") + "."
}

func (c *converter) item(v cty.Value, at hcl.Range) (Text, bool) {
	s, good := c.text(v, at)
	return Text{s, at}, good
}

// list converts each element, and points at the element that is wrong where the
// list is written out.
func list[T any](c *converter, v cty.Value, one func(*converter, cty.Value, hcl.Range) (T, bool)) ([]T, bool) {
	at := c.expr.Range()
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		fix := fmt.Sprintf("Write: %s = %s.", c.Name, c.example())
		if s, simple := c.written(v, at); simple && (c.Kind == Ints) == (ty == cty.Number) {
			fix = "Put it in brackets: [" + s + "]."
		} else if ty == cty.String && c.Argv {
			fix = fmt.Sprintf("There is no shell: write each argument as a string of its own, or [\"sh\", \"-c\", %q].", v.AsString())
		} else if ty == cty.String && c.Kind == Strings {
			fix = fmt.Sprintf("Put it in brackets: [%q].", v.AsString())
		}
		c.wrong(at, kindNames[c.Kind], describe(v), fix)
		return nil, false
	}
	var ranges []hcl.Range
	if tuple, isTuple := c.expr.(*hclsyntax.TupleConsExpr); isTuple {
		for _, e := range tuple.Exprs {
			ranges = append(ranges, e.Range())
		}
	}
	out, good := make([]T, 0, v.LengthInt()), true
	i := 0
	defer func() { c.index = -1 }()
	for it := v.ElementIterator(); it.Next(); i++ {
		_, e := it.Element()
		where := at
		if i < len(ranges) {
			where = ranges[i]
		}
		c.index = i
		t, fine := one(c, e, where)
		out, good = append(out, t), good && fine
	}
	return out, good
}

func (c *converter) number(v cty.Value) (float64, bool) {
	if v.Type() != cty.Number {
		c.wrong(c.expr.Range(), "a number", describe(v), fmt.Sprintf("Write it without quotes: %s = %s.", c.Name, c.example()))
		return 0, false
	}
	f, _ := v.AsBigFloat().Float64()
	return f, true
}

func (c *converter) whole(v cty.Value, at hcl.Range) (int64, bool) {
	if v.IsNull() || v.Type() != cty.Number {
		fix := fmt.Sprintf("Write: %s = %s.", c.Name, c.example())
		if !v.IsNull() && v.Type() == cty.String && plainWord.MatchString(v.AsString()) {
			if _, isNumber := new(big.Int).SetString(v.AsString(), 10); isNumber {
				fix = "Write it without quotes: " + v.AsString() + "."
			}
		}
		c.wrong(at, "a whole number", describe(v), fix)
		return 0, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact {
		c.report(Errorf(at, "Not a whole number", "%s must be a whole number below 2^63, and %s is none. Write: %s = %s.", c.path(), v.AsBigFloat().Text('g', 10), c.Name, c.example()))
		return 0, false
	}
	return n, c.inRange(n, at, func(n int64) string { return fmt.Sprint(n) })
}

func (c *converter) inRange(n int64, at hcl.Range, show func(int64) string) bool {
	if c.Min == 0 && c.Max == 0 || n >= c.Min && (c.Max == 0 || n <= c.Max) {
		return true
	}
	bounds := "at least " + show(c.Min)
	if c.Max != 0 {
		bounds = "from " + show(c.Min) + " to " + show(c.Max)
	}
	c.report(Errorf(at, "Value out of range", "%s must be %s, and this is %s. Write for example %s.", c.path(), bounds, show(n), c.example()))
	return false
}

func (c *converter) boolean(v cty.Value) (bool, bool) {
	if v.Type() != cty.Bool {
		fix := "Write true or false, without quotes."
		c.wrong(c.expr.Range(), "true or false", describe(v), fix)
		return false, false
	}
	return v.True(), true
}

func (c *converter) pairs(v cty.Value) ([]Pair, bool) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		c.wrong(c.expr.Range(), "a map of strings", describe(v), fmt.Sprintf("Write: %s = %s.", c.Name, c.example()))
		return nil, false
	}
	c.repeated()
	written := pairsOf(c.expr, c.Eval)
	out, good := []Pair{}, true
	for it := v.ElementIterator(); it.Next(); { // in the order of the keys
		k, e := it.Element()
		name := k.AsString()
		p := Pair{Name: name, Range: c.expr.Range()}
		exprs := []hcl.Expression{c.expr}
		if item, ok := written[name]; ok {
			p.Range, exprs = item.ValueExpr.Range(), []hcl.Expression{item.KeyExpr, item.ValueExpr}
		}
		p.Origin = c.origin(p.Range, c.Private, exprs...)
		var fine bool
		p.Text, fine = (&converter{c.decoder, &Attr{Name: name, Kind: String}, c.path(), -1, c.expr}).text(e, p.Range)
		out, good = append(out, p), good && fine
	}
	return out, good
}

// repeated reports names that an object has twice: HCL lets the last one win.
func (c *converter) repeated() {
	obj, written := c.expr.(*hclsyntax.ObjectConsExpr)
	if !written {
		return
	}
	first := map[string]hcl.Range{}
	for _, item := range obj.Items {
		k, diags := item.KeyExpr.Value(c.Eval)
		if diags.HasErrors() || !k.IsKnown() || k.IsNull() || k.IsMarked() || k.Type() != cty.String {
			continue
		}
		at := item.KeyExpr.Range()
		if was, twice := first[k.AsString()]; twice {
			c.report(Duplicate(at, was, join(c.path(), k.AsString()), "Remove one of them."))
			continue
		}
		first[k.AsString()] = at
	}
}

// pairsOf are the items of an object that is written out, by key.
func pairsOf(expr hcl.Expression, ctx *hcl.EvalContext) map[string]hclsyntax.ObjectConsItem {
	out := map[string]hclsyntax.ObjectConsItem{}
	if obj, isObject := expr.(*hclsyntax.ObjectConsExpr); isObject {
		for _, item := range obj.Items {
			if k, diags := item.KeyExpr.Value(ctx); !diags.HasErrors() && k.IsKnown() && !k.IsNull() && !k.IsMarked() && k.Type() == cty.String {
				out[k.AsString()] = item
			}
		}
	}
	return out
}

func (c *converter) size(v cty.Value) (int64, bool) {
	n, good := measured(c, v, ParseSize, []string{"MiB", "B"})
	return n, good && c.inRange(n, c.expr.Range(), FormatSize)
}

func (c *converter) duration(v cty.Value) (time.Duration, bool) {
	units := []string{"ms", "s"}
	if c.Min >= int64(time.Minute) { // nobody means less
		units = []string{"m", "h"}
	}
	d, good := measured(c, v, ParseDuration, units)
	return d, good && c.inRange(int64(d), c.expr.Range(), func(n int64) string { return FormatDuration(time.Duration(n)) })
}

// measured reads a number with its unit; without one it shows what to write.
func measured[T any](c *converter, v cty.Value, parse func(string) (T, error), units []string) (T, bool) {
	at := c.expr.Range()
	var none T
	if v.Type() == cty.Number {
		s, _ := c.written(v, at)
		switch sign := v.AsBigFloat().Sign(); {
		case sign == 0 && c.Min == 0:
			c.report(Errorf(at, "Missing unit", "%s is a string with a unit. Write \"0\".", c.path()))
		case sign < 1 && c.Min > 0:
			c.report(Errorf(at, "Value out of range", "%s must be more than nothing, and this is %s. Write for example %s.", c.path(), s, c.example()))
		default:
			c.report(Errorf(at, "Missing unit", "%s is %s of what? Write \"%s%s\" or \"%s%s\".", c.path(), s, s, units[0], s, units[1]))
		}
		return none, false
	}
	if v.Type() != cty.String {
		c.wrong(at, kindNames[c.Kind], describe(v), fmt.Sprintf("Write: %s = %s.", c.Name, c.example()))
		return none, false
	}
	s := v.AsString()
	t, err := parse(s)
	switch {
	case errors.Is(err, errNoUnit):
		c.report(Errorf(at, "Missing unit", "%s is %s of what? Write \"%s%s\" or \"%s%s\".", c.path(), s, s, units[0], s, units[1]))
	case err != nil:
		c.report(Errorf(at, "Unreadable value", "%s can't be %q, as it %v. Write for example %s.", c.path(), s, err, c.example()))
	}
	return t, err == nil
}

// limit reads one side of an rlimit.
func (c *converter) limit(v cty.Value) (Bound, bool) {
	at := c.expr.Range()
	if v.Type() == cty.Number {
		n, accuracy := v.AsBigFloat().Uint64()
		if accuracy != big.Exact || n == ^uint64(0) {
			c.report(Errorf(at, "Not a whole number", "%s must be a whole number from 0, and this is none. Write a count, a size such as \"8MiB\", or \"unlimited\".", c.path()))
			return Bound{}, false
		}
		return Bound{N: n}, true
	}
	if v.Type() == cty.String && v.AsString() == "unlimited" {
		return Bound{Unlimited: true}, true
	}
	if v.Type() == cty.String {
		if n, err := ParseSize(v.AsString()); err == nil {
			return Bound{N: uint64(n)}, true
		}
	}
	c.wrong(at, kindNames[Limit], describe(v), fmt.Sprintf("Write: %s = %s.", c.Name, c.example()))
	return Bound{}, false
}
