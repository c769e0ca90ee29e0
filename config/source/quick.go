package source

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// quick parses a plain source into the tree that hclsyntax.ParseConfig makes of it,
// ranges and all, for a fraction of the time and memory: no list of tokens, no count of
// grapheme clusters. Blocks and literals it reads itself, any other expression HCL's
// parser does. It returns nil for what it can't read, and for what is wrong: that is
// for ParseConfig, which says why. Literal says that there are no other expressions.
func quick(name string, src []byte) (body *hclsyntax.Body, literal bool) {
	q := &quickly{src: src, name: name, line: 1, numbers: map[string]cty.Value{}}
	first := q.firstToken()
	if body = q.body(); body == nil || q.i < len(src) {
		return nil, false
	}
	body.SrcRange = q.since(first)
	body.EndRange = q.since(q.pos())
	return body, !q.more
}

type quickly struct {
	src  []byte
	name string

	i     int // what comes next
	line  int
	start int // of the line

	numbers map[string]cty.Value // many are the same: ports
	more    bool                 // than literals
}

func (q *quickly) pos() hcl.Pos { return hcl.Pos{Line: q.line, Column: q.i - q.start + 1, Byte: q.i} }

func (q *quickly) since(start hcl.Pos) hcl.Range {
	return hcl.Range{Filename: q.name, Start: start, End: q.pos()}
}

// next is the byte that comes next; 0 at the end and for one that is not ASCII.
func (q *quickly) next() byte {
	if q.i < len(q.src) && q.src[q.i] < 0x80 {
		return q.src[q.i]
	}
	return 0
}

func (q *quickly) newline() {
	q.i++
	q.line, q.start = q.line+1, q.i
}

// spaces skips what separates tokens of a line.
func (q *quickly) spaces() {
	for q.next() == ' ' || q.next() == '\t' {
		q.i++
	}
}

func (q *quickly) atComment() bool {
	return q.next() == '#' || q.next() == '/' && follows(q.src, q.i, '/')
}

// lines skips to the next token, over ends of lines and comments. Its report is false if
// that is a comment without an end.
func (q *quickly) lines() bool {
	for {
		q.spaces()
		switch {
		case q.next() == '\n':
			q.newline()
		case q.atComment():
			n := bytes.IndexByte(q.src[q.i:], '\n')
			if n < 0 {
				return false
			}
			q.i += n
			q.newline()
		default:
			return true
		}
	}
}

// firstToken is where the body of the file begins. An end of line is a token, and so is
// a comment.
func (q *quickly) firstToken() hcl.Pos {
	q.spaces()
	return q.pos()
}

// body reads to a closing bracket or the end of the source.
func (q *quickly) body() *hclsyntax.Body {
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	for q.lines() {
		if q.i == len(q.src) || q.next() == '}' {
			return body
		}
		if !q.item(body) || !q.endOfLine() {
			break
		}
	}
	return nil
}

// endOfLine reports whether nothing but a comment comes in this line.
func (q *quickly) endOfLine() bool {
	q.spaces()
	return q.i == len(q.src) || q.next() == '\n' || q.atComment()
}

// item reads an attribute or a block into a body.
func (q *quickly) item(body *hclsyntax.Body) bool {
	name, at := q.word()
	if name == "" {
		return false
	}
	q.spaces()
	if q.next() == '=' {
		attr := q.attribute(name, at)
		if attr == nil || body.Attributes[name] != nil {
			return false
		}
		body.Attributes[name] = attr
		return true
	}
	b := q.block(name, at)
	if b == nil {
		return false
	}
	body.Blocks = append(body.Blocks, b)
	return true
}

// word reads a name, or nothing.
func (q *quickly) word() (string, hcl.Range) {
	start, at := q.i, q.pos()
	if !letter(q.next()) || q.next() == '_' {
		return "", hcl.Range{}
	}
	for letter(q.next()) || digit(q.next()) || q.next() == '-' {
		q.i++
	}
	if q.i < len(q.src) && q.src[q.i] >= 0x80 { // the name goes on
		return "", hcl.Range{}
	}
	return string(q.src[start:q.i]), q.since(at)
}

func (q *quickly) block(name string, at hcl.Range) *hclsyntax.Block {
	b := &hclsyntax.Block{Type: name, TypeRange: at}
	for q.next() != '{' {
		label, at, _ := q.quoted()
		if label == "" {
			if label, at = q.word(); label == "" {
				return nil
			}
		}
		b.Labels, b.LabelRanges = append(b.Labels, label), append(b.LabelRanges, at)
		q.spaces()
	}
	open := q.pos()
	q.i++
	b.OpenBraceRange = q.since(open)
	q.spaces()
	if letter(q.next()) {
		b.Body = q.single()
	} else {
		b.Body = q.body()
	}
	if b.Body == nil || q.next() != '}' {
		return nil
	}
	end := q.pos()
	q.i++
	b.CloseBraceRange = q.since(end)
	if b.Body.Blocks != nil {
		b.Body.SrcRange, b.Body.EndRange = q.since(open), q.since(q.pos())
	}
	return b
}

// single reads the body of a block in one line, which is one attribute.
func (q *quickly) single() *hclsyntax.Body {
	name, at := q.word()
	q.spaces()
	if name == "" || q.next() != '=' {
		return nil
	}
	attr := q.attribute(name, at)
	if attr == nil {
		return nil
	}
	q.spaces()
	end := attr.SrcRange.End
	return &hclsyntax.Body{
		Attributes: hclsyntax.Attributes{name: attr},
		SrcRange:   attr.SrcRange,
		EndRange:   hcl.Range{Filename: q.name, Start: end, End: end},
	}
}

func (q *quickly) attribute(name string, at hcl.Range) *hclsyntax.Attribute {
	a := &hclsyntax.Attribute{Name: name, NameRange: at}
	equals := q.pos()
	q.i++
	a.EqualsRange = q.since(equals)
	q.spaces()
	begin := *q
	if a.Expr = q.value(); a.Expr == nil || !q.valueEnds() {
		*q = begin
		if a.Expr = q.expression(); a.Expr == nil {
			return nil
		}
	}
	a.SrcRange = q.since(at.Start)
	return a
}

// valueEnds reports whether a literal is the whole of an attribute's expression.
func (q *quickly) valueEnds() bool {
	here := *q
	defer func() { *q = here }()
	return q.endOfLine() || q.next() == '}'
}

// value reads a literal, or a list of literals.
func (q *quickly) value() hclsyntax.Expression {
	switch c := q.next(); {
	case c == '"':
		text, at, inner := q.quoted()
		if text == "" {
			return nil
		}
		return &hclsyntax.TemplateExpr{Parts: []hclsyntax.Expression{&hclsyntax.LiteralValueExpr{Val: cty.StringVal(text), SrcRange: inner}}, SrcRange: at}
	case c == '[':
		return q.list()
	case digit(c):
		return q.number()
	}
	word, at := q.word()
	switch word {
	case "true":
		return &hclsyntax.LiteralValueExpr{Val: cty.True, SrcRange: at}
	case "false":
		return &hclsyntax.LiteralValueExpr{Val: cty.False, SrcRange: at}
	}
	return nil
}

// quoted reads a text that is what it looks like. Inner is its range without quotes.
func (q *quickly) quoted() (text string, at, inner hcl.Range) {
	if q.next() != '"' {
		return "", hcl.Range{}, hcl.Range{}
	}
	begin, open := *q, q.pos()
	q.i++
	start, in := q.i, q.pos()
	for c := q.next(); c != '"'; c = q.next() {
		if c < ' ' || c == '\\' || c == '$' || c == '%' || c == 0x7f {
			*q = begin
			return "", hcl.Range{}, hcl.Range{}
		}
		q.i++
	}
	text, inner = string(q.src[start:q.i]), q.since(in)
	q.i++
	return text, q.since(open), inner
}

// number reads a whole number of few digits.
func (q *quickly) number() hclsyntax.Expression {
	start, at := q.i, q.pos()
	for digit(q.next()) {
		q.i++
	}
	text := string(q.src[start:q.i])
	v, ok := q.numbers[text]
	if !ok {
		var err error
		if v, err = cty.ParseNumberVal(text); err != nil || len(text) > 18 {
			return nil
		}
		q.numbers[text] = v
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: q.since(at)}
}

func (q *quickly) list() hclsyntax.Expression {
	open := q.pos()
	q.i++
	l := &hclsyntax.TupleConsExpr{OpenRange: q.since(open)}
	for q.lines() {
		if q.next() == ']' {
			q.i++
			l.SrcRange = q.since(open)
			return l
		}
		v := q.value()
		if v == nil {
			return nil
		}
		l.Exprs = append(l.Exprs, v)
		if !q.lines() {
			return nil
		}
		switch q.next() {
		case ',':
			q.i++
		case ']':
		default:
			return nil
		}
	}
	return nil
}

// expression has HCL's parser read what is no literal: in a plain source it ends with
// the line, unless brackets are open.
func (q *quickly) expression() hclsyntax.Expression {
	start, at, end := q.i, q.pos(), q.i
	for open := 0; ; end = q.i {
		if open > 0 && !q.lines() {
			return nil
		}
		if open == 0 && (q.endOfLine() || q.next() == '}') {
			break
		}
		switch q.next() {
		case 0: // the end, or not ASCII
			return nil
		case '"':
			n := quoted(q.src[q.i:])
			if n == 0 || bytes.ContainsFunc(q.src[q.i:q.i+n], func(r rune) bool { return r >= 0x80 }) {
				return nil
			}
			q.i += n
		case '{', '(', '[':
			open++
		case '}', ')', ']':
			open--
		}
		q.i++
	}
	expr, diags := hclsyntax.ParseExpression(q.src[start:end], q.name, at)
	if len(diags) > 0 {
		return nil
	}
	q.i, q.more = end, true
	return expr
}
