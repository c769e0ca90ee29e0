package block

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/nearest"
	"blast.example/blast/plan"
)

// A Reader is what decoding needs besides the declaration.
type Reader struct {
	Eval   *hcl.EvalContext
	Files  map[string]*hcl.File             // to quote a value as it was written; may be nil
	Makers func(hcl.Expression) plan.Makers // the variables that an expression's value is made of; may be nil
}

// origin is where the value of an expression, or of several together, came from.
func (r Reader) origin(at hcl.Range, private bool, exprs ...hcl.Expression) Origin {
	o := Origin{Place: Place(at)}
	for _, e := range exprs {
		if r.Makers != nil {
			o.By = o.By.With(r.Makers(e)...)
		}
	}
	for i := range o.By {
		if private {
			o.By[i].Value = ""
		}
	}
	return o
}

// Content decodes the attributes and blocks that a schema picked out of a body.
func (r Reader) Content(content *hcl.BodyContent, attrs []Attr, blocks []Block) (*Values, hcl.Diagnostics) {
	d := decoder{Reader: r}
	root := &Block{Attrs: attrs, Blocks: blocks}
	v := &Values{Range: content.MissingItemRange}
	for _, name := range slices.Sorted(maps.Keys(content.Attributes)) {
		if a := root.attr(name); a != nil {
			d.attr(v, "", a, content.Attributes[name])
		}
	}
	d.children(v, "", root, d.own(content.Blocks))
	return v, d.diags
}

// own are blocks as HCL's own syntax has them.
func (d *decoder) own(blocks hcl.Blocks) hclsyntax.Blocks {
	var out hclsyntax.Blocks
	for _, b := range blocks {
		body, ok := b.Body.(*hclsyntax.Body)
		if !ok {
			d.report(Errorf(b.DefRange, "Unreadable block", "The block %s is not in HCL's own syntax. Write blast.hcl in it.", b.Type))
			continue
		}
		out = append(out, &hclsyntax.Block{Type: b.Type, Labels: b.Labels, Body: body, TypeRange: b.TypeRange, LabelRanges: b.LabelRanges})
	}
	return out
}

// Errorf makes an error diagnostic. The summary is constant; the detail says
// what, why and how to fix it.
func Errorf(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: at.Ptr()}
}

// Warningf makes a warning.
func Warningf(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := Errorf(at, summary, format, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// Hidden is the Extra of a diagnostic whose line must not be shown: what is secret
// stands in it.
type Hidden struct{}

// NotYet says that a word of the language is missing from this version. Such a
// line is refused, not ignored: what it asks for would not be enforced.
func NotYet(at hcl.Range, what, instead string) *hcl.Diagnostic {
	d := Errorf(at, "Not supported yet", "%s is not supported yet by this version of Blast, and a line that isn't enforced would mislead.", what)
	if instead == "" {
		instead = "Remove it."
	}
	d.Detail += " " + instead
	return d
}

// Duplicate says that something stands in the file twice.
func Duplicate(at, first hcl.Range, what, fix string) *hcl.Diagnostic {
	return Errorf(at, "Duplicate definition", "%s was already written at %s:%d,%d. %s", what, first.Filename, first.Start.Line, first.Start.Column, fix)
}

type decoder struct {
	Reader
	diags hcl.Diagnostics
}

func (d *decoder) report(diag *hcl.Diagnostic) { d.diags = append(d.diags, diag) }

// body walks the syntax itself: HCL's own Content stops at words that it doesn't
// know and names neither near ones nor those of other versions.
func (d *decoder) body(v *Values, path string, spec *Block, syn *hclsyntax.Body) {
	v.attrs = make([]value, 0, len(syn.Attributes))
	d.unknownAttrs(path, spec, syn)
	for i := range spec.Attrs {
		a := &spec.Attrs[i]
		if attr, ok := syn.Attributes[a.Name]; ok {
			d.attr(v, path, a, attr.AsHCLAttribute())
		} else if a.Required {
			d.report(Errorf(v.Range, "Missing argument", "%s needs %q, %s. Write: %s = %s.", path, a.Name, kindNames[a.Kind], a.Name, a.example()))
		}
	}
	d.children(v, path, spec, syn.Blocks)
}

func (d *decoder) unknownAttrs(path string, spec *Block, syn *hclsyntax.Body) {
	var unknown []string
	for name := range syn.Attributes {
		if spec.attr(name) == nil {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		d.report(UnknownArgument(syn.Attributes[name].NameRange, path, name, *spec))
	}
}

// UnknownArgument says that no such argument can stand in the block.
func UnknownArgument(at hcl.Range, path, name string, spec Block) *hcl.Diagnostic {
	attrs, blocks := spec.words()
	switch {
	case slices.Contains(spec.NotYet, name):
		return NotYet(at, join(path, name), "")
	case slices.Contains(blocks, name):
		return Errorf(at, "Block written as argument", "%s is a block. Write it without the equals sign: %s { ... }.", join(path, name), name)
	}
	return Errorf(at, "Unknown argument", "%s has no argument %q.%s", orFile(path), name, hintOr(name, attrs, "arguments"))
}

// UnknownBlock says that no such block can stand in the block.
func UnknownBlock(at hcl.Range, path, name string, spec Block) *hcl.Diagnostic {
	attrs, blocks := spec.words()
	switch {
	case slices.Contains(spec.NotYet, name) || name == "dynamic": // which may stand in any
		return NotYet(at, join(path, name), "")
	case slices.Contains(attrs, name):
		return Errorf(at, "Argument written as block", "%s is an argument. Write it with an equals sign: %s = ...", join(path, name), name)
	}
	return Errorf(at, "Unknown block", "%s has no block %q.%s", orFile(path), name, hintOr(name, blocks, "blocks"))
}

func orFile(path string) string {
	if path == "" {
		return "blast.hcl"
	}
	return path
}

// hintOr suggests the near word or lists them all.
func hintOr(name string, words []string, what string) string {
	if h := nearest.Hint(name, words); h != "" {
		return h
	}
	if len(words) == 0 {
		return " It has no " + what + " at all."
	}
	sort.Strings(words)
	return fmt.Sprintf(" Its %s are: %s.", what, strings.Join(words, ", "))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// children decodes the blocks inside of a block.
func (d *decoder) children(v *Values, path string, spec *Block, blocks hclsyntax.Blocks) {
	first := make(map[string]*hclsyntax.Block, len(blocks))
	for _, b := range blocks {
		child := spec.block(b.Type)
		if child == nil {
			d.report(UnknownBlock(b.TypeRange, path, b.Type, *spec))
			continue
		}
		label, ok := d.label(child, b)
		if !ok {
			continue
		}
		at := join(path, b.Type)
		if child.Label != "" {
			at = join(at, label)
		}
		if was, twice := first[at]; twice && (child.Label != "" || !child.Many) {
			d.report(Duplicate(headerRange(b), headerRange(was), title(b, child), fixTwice(child)))
			d.body(&Values{Name: b.Type, Range: headerRange(b)}, at, child, b.Body) // for what else is wrong with it
			continue
		}
		first[at] = b
		c := &Values{Name: b.Type, Range: headerRange(b)}
		if c.Label = label; len(b.LabelRanges) > 0 {
			c.LabelRange = b.LabelRanges[0]
		}
		d.body(c, at, child, b.Body)
		v.blocks = append(v.blocks, c)
	}
}

func title(b *hclsyntax.Block, spec *Block) string {
	if spec.Label != "" {
		return fmt.Sprintf("%s %q", b.Type, b.Labels[0])
	}
	return "The block " + b.Type
}

func fixTwice(spec *Block) string {
	if spec.Label != "" {
		return "Give one of them another " + spec.Label + "."
	}
	return "Merge the two."
}

// label checks that a block has exactly the labels that it should.
func (d *decoder) label(spec *Block, b *hclsyntax.Block) (string, bool) {
	switch {
	case spec.Label == "" && len(b.Labels) > 0:
		d.report(Errorf(b.LabelRanges[0], "Unexpected label", "The block %s has no label. Write: %s { ... }.", b.Type, b.Type))
		return "", false
	case spec.Label == "":
		return "", true
	case len(b.Labels) == 0:
		d.report(Errorf(b.TypeRange, "Missing label", "The block %s needs a label, its %s. Write: %s %q { ... }.", b.Type, spec.Label, b.Type, spec.Label))
		return "", false
	case len(b.Labels) > 1:
		d.report(Errorf(b.LabelRanges[1], "Unexpected label", "The block %s has one label, its %s. Remove the others.", b.Type, spec.Label))
		return "", false
	case b.Labels[0] == "":
		d.report(Errorf(b.LabelRanges[0], "Missing label", "The label of %s, its %s, is empty. Write one.", b.Type, spec.Label))
		return "", false
	}
	return b.Labels[0], true
}

// headerRange is the block's type and labels, without its body.
func headerRange(b *hclsyntax.Block) hcl.Range {
	r := b.TypeRange
	for _, l := range b.LabelRanges {
		r = hcl.RangeBetween(r, l)
	}
	return r
}
