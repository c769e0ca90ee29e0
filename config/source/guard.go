// Package source turns the bytes of a file into a syntax tree, and refuses
// before parsing what the parser would misread or, as its recursion has no
// bound, crash on.
package source

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/block"
)

// Bounds of a source file.
const (
	maxSource  = 4 << 20 // bytes
	maxDepth   = 100     // brackets inside of brackets
	maxChained = 1000    // operators, calls and conditions in one expression
	maxDigits  = 3       // of the exponent of a number
)

// Guard looks at a source before it is parsed.
func Guard(src []byte, name string) hcl.Diagnostics { return guard(src, name, plain(src)) }

func guard(src []byte, name string, plain bool) hcl.Diagnostics {
	if d := guardBytes(src, name); d != nil {
		return hcl.Diagnostics{d}
	}
	diags := guardRunes(src, name)
	if len(diags) > 0 || !plain {
		diags = append(diags, guardDepth(src, name)...)
	}
	return diags
}

// guardBytes is about the file as a whole.
func guardBytes(src []byte, name string) *hcl.Diagnostic {
	at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
	switch {
	case len(src) > maxSource:
		return block.Errorf(at, "File too large", "%s is larger than 4 MiB. Keep settings in it, and data in files that the sandbox reads.", name)
	case bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")):
		return block.Errorf(at, "File is UTF-16", "%s is encoded in UTF-16. Save it as UTF-8 without a byte order mark.", name)
	case bytes.HasPrefix(src, []byte("\xef\xbb\xbf")):
		return block.Errorf(at, "Byte order mark", "%s begins with a byte order mark, which UTF-8 doesn't need. Save it as UTF-8 without one.", name)
	}
	return nil
}

// maxStrange bounds how many strange characters are reported.
const maxStrange = 20

// guardRunes reports characters that make a source read other than it works.
func guardRunes(src []byte, name string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	line, start := 1, 0
	for i := 0; i < len(src) && len(diags) < maxStrange; {
		r, n := utf8.DecodeRune(src[i:])
		if summary, detail := strange(src, i, r, n); summary != "" {
			pos := hcl.Pos{Line: line, Column: utf8.RuneCount(src[start:i]) + 1, Byte: i}
			at := hcl.Range{Filename: name, Start: pos, End: hcl.Pos{Line: line, Column: pos.Column + 1, Byte: i + n}}
			diags = append(diags, block.Errorf(at, summary, "%s", detail))
		}
		if i += n; r == '\n' {
			line, start = line+1, i
		}
	}
	return diags
}

// mergeMarkers leave out "=======", which underlines titles in texts, and never
// stands without the others.
var mergeMarkers = []string{"<<<<<<< ", ">>>>>>> ", "||||||| "}

func strange(src []byte, i int, r rune, n int) (summary, detail string) {
	switch {
	case r == utf8.RuneError && n == 1:
		return "Not UTF-8", fmt.Sprintf("The byte 0x%02x is not UTF-8 text. Save the file as UTF-8.", src[i])
	case r == 0:
		return "NUL character", "A NUL character ends strings in the kernel and can't be seen. Remove it; if the file is full of them, it was saved as UTF-16 or damaged."
	case r == '\r' && (i+1 >= len(src) || src[i+1] != '\n'):
		return "Carriage return without newline", "A lone carriage return makes the rest of the line invisible in a terminal. End lines with LF or CRLF."
	case unicode.Is(unicode.Bidi_Control, r):
		return "Bidirectional control character", fmt.Sprintf("The invisible character U+%04X makes text read in another order than it works. Remove it.", r)
	case i == 0 || src[i-1] == '\n':
		for _, m := range mergeMarkers {
			if bytes.HasPrefix(src[i:], []byte(m)) {
				return "Merge conflict marker", "The line is left over from a merge. Choose one of the sides and remove the markers."
			}
		}
	}
	return "", ""
}

// guardDepth counts how deep the parser would have to go. HCL's parser calls
// itself for each bracket, condition, unary operator and binary operator.
func guardDepth(src []byte, name string) hcl.Diagnostics {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos) // its complaints come again with the parser's
	d := depth{chained: []int{0}}
	for _, t := range tokens {
		if diag := d.token(t); diag != nil {
			return hcl.Diagnostics{diag}
		}
	}
	return nil
}

// depth is where in the nesting a token stands.
type depth struct {
	open    []hclsyntax.TokenType
	chained []int // links of the expression around, by level
}

func (d *depth) token(t hclsyntax.Token) *hcl.Diagnostic {
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		d.chained[len(d.chained)-1]++
		d.open, d.chained = append(d.open, t.Type), append(d.chained, 0)
		if len(d.open) > maxDepth {
			return block.Errorf(t.Range, "Nested too deep", "More than %d brackets stand inside each other. Put inner values into locals.", maxDepth)
		}
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		if len(d.open) > 0 {
			d.open, d.chained = d.open[:len(d.open)-1], d.chained[:len(d.chained)-1]
		}
	case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		if t.Type == hclsyntax.TokenComment && !bytes.HasSuffix(t.Bytes, []byte("\n")) {
			break // /* */; others take the end of the line with them
		}
		if len(d.open) == 0 || d.open[len(d.open)-1] == hclsyntax.TokenOBrace {
			d.chained[len(d.chained)-1] = 0
		}
	case hclsyntax.TokenComma:
		d.chained[len(d.chained)-1] = 0
	case hclsyntax.TokenNumberLit:
		return hugeExponent(t)
	case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote, hclsyntax.TokenEqual:
	default:
		d.chained[len(d.chained)-1]++
	}
	if d.chained[len(d.chained)-1] > maxChained {
		return block.Errorf(t.Range, "Expression too long", "More than %d operators, calls or template parts stand in one expression. Put parts of it into locals.", maxChained)
	}
	return nil
}

// hugeExponent refuses 1e1000000000: as text it has a billion digits.
func hugeExponent(t hclsyntax.Token) *hcl.Diagnostic {
	i := bytes.IndexAny(t.Bytes, "eE")
	if digits := bytes.TrimLeft(t.Bytes[i+1:], "+-0"); i >= 0 && len(digits) > maxDigits || len(t.Bytes) > 1000 {
		return block.Errorf(t.Range, "Number out of bounds", "The number is larger or finer than any setting can be. Write it with fewer digits.")
	}
	return nil
}
