package edit

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A Body is what stands in a block, or at the top of a file.
type Body struct {
	f     *File
	body  *hclsyntax.Body
	block *hclsyntax.Block // nil is the file
}

// Block is the first block of a type with these labels.
func (b Body) Block(kind string, labels ...string) (Body, bool) {
	for _, k := range b.body.Blocks {
		if k.Type == kind && slices.Equal(k.Labels, labels) {
			return Body{b.f, k.Body, k}, true
		}
	}
	return Body{}, false
}

// Has reports whether there is a block of this type, whatever its labels.
func (b Body) Has(kind string) bool {
	return slices.ContainsFunc(b.body.Blocks, func(k *hclsyntax.Block) bool { return k.Type == kind })
}

// Append adds a block at the end of the body, whose lines are indented by two spaces a
// step. A blank line is between it and what stands there.
func (b Body) Append(lines []string) {
	if b.block == nil {
		b.appendToFile(lines)
		return
	}
	shut := b.block.CloseBraceRange.Start.Byte
	indent := b.f.indent(b.block.TypeRange.Start.Byte)
	if b.f.first(shut) {
		at := b.f.lineStart(shut)
		b.f.insert(at, b.gap(at)+b.f.lines(indent+b.f.unit, lines))
		return
	}
	b.unfold(shut, indent, lines)
}

// unfold makes several lines of a block that is written in one.
func (b Body) unfold(shut int, indent string, lines []string) {
	open := b.block.OpenBraceRange.End.Byte
	text := strings.TrimSpace(string(b.f.src[open:shut]))
	if text != "" {
		text = indent + b.f.unit + text + b.f.eol + b.f.eol
	}
	b.f.cuts = append(b.f.cuts, cut{open, shut, b.f.eol + text + b.f.lines(indent+b.f.unit, lines) + indent})
}

func (b Body) appendToFile(lines []string) {
	end := len(b.f.src)
	text := b.f.lines("", lines)
	if end > 0 && b.f.src[end-1] != '\n' {
		text = b.f.eol + b.f.eol + text
	} else {
		text = b.gap(end) + text
	}
	b.f.insert(end, text)
}

// gap is the blank line before what is added at an offset, where one is missing.
func (b Body) gap(at int) string {
	before := strings.TrimRight(string(b.f.src[:at]), " \t")
	before = strings.TrimSuffix(before, "\n")
	before = strings.TrimSuffix(before, "\r")
	last := strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:])
	empty := b.block != nil && b.f.lineStart(at-1) <= b.block.OpenBraceRange.Start.Byte
	if last == "" || empty {
		return ""
	}
	return b.f.eol
}

// Lengthen adds an element to a list that is written out, such as ports = [443]. It
// says no if there is none, or if it is an expression of another sort.
func (b Body) Lengthen(attr, element string) bool {
	a, ok := b.body.Attributes[attr]
	if !ok {
		return false
	}
	list, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	if !ok || len(list.Exprs) == 0 {
		return false
	}
	last := list.Exprs[len(list.Exprs)-1].Range()
	shut := list.SrcRange.End.Byte - 1
	comma, ok := b.f.comma(last, shut)
	switch {
	case !ok:
		return false
	case b.f.first(shut) && last.End.Line < list.SrcRange.End.Line:
		if !comma {
			b.f.insert(last.End.Byte, ",")
		}
		b.f.insert(b.f.lineStart(shut), b.f.indent(last.Start.Byte)+element+","+b.f.eol)
	default:
		b.f.insert(last.End.Byte, ", "+element)
	}
	return true
}

// comma reports whether one follows the last element of a list, which may have
// comments after it. What can't be read so is not ok.
func (f *File) comma(last hcl.Range, shut int) (comma, ok bool) {
	if last.End.Byte > shut {
		return false, false
	}
	tokens, diags := hclsyntax.LexConfig(f.src[last.End.Byte:shut], last.Filename, last.End)
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // all others are in the way
		case hclsyntax.TokenComma:
			comma = true
		case hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenEOF:
		default:
			return false, false
		}
	}
	return comma, !diags.HasErrors()
}
