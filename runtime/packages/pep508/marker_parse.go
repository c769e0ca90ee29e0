package pep508

import (
	"fmt"
	"strings"
)

// maxDepth bounds nested parentheses.
const maxDepth = 100

// comparisons in the order to try them: long ones first. "in" and "not in" are
// words, read apart.
var comparisons = []string{"===", "==", "~=", "!=", "<=", ">=", "<", ">"}

// ParseMarker reads a marker that stands alone.
func ParseMarker(s string) (*Marker, error) {
	p := &scanner{what: "marker", s: s}
	if len(s) > maxText {
		return nil, p.fail(fmt.Sprintf("it is longer than %d bytes", maxText), "")
	}
	return p.wholeMarker()
}

// wholeMarker reads a marker up to the end of the text.
func (p *scanner) wholeMarker() (*Marker, error) {
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, p.fail(p.found()+" can't stand here", `join conditions by "and" or "or"`)
	}
	return &Marker{root}, nil
}

func (p *scanner) or(depth int) (node, error) {
	first, err := p.and(depth)
	parts := anyOf{first}
	for err == nil && p.word("or") {
		var n node
		n, err = p.and(depth)
		parts = append(parts, n)
	}
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return first, nil
	}
	return parts, nil
}

func (p *scanner) and(depth int) (node, error) {
	first, err := p.atom(depth)
	parts := allOf{first}
	for err == nil && p.word("and") {
		var n node
		n, err = p.atom(depth)
		parts = append(parts, n)
	}
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return first, nil
	}
	return parts, nil
}

// atom reads a comparison or a marker in parentheses, and the space after it.
func (p *scanner) atom(depth int) (node, error) {
	p.space()
	if !p.take("(") {
		return p.comparison()
	}
	if depth >= maxDepth {
		return nil, p.fail(fmt.Sprintf("parentheses are nested deeper than %d", maxDepth), "")
	}
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail(`")", "and" or "or" must stand here, not `+p.found(), "close the parenthesis")
	}
	p.space()
	return n, nil
}

func (p *scanner) comparison() (node, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	op, err := p.operator()
	if err != nil {
		return nil, err
	}
	p.space()
	start := p.i
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left.variable == "" && right.variable == "" {
		p.i = start
		return nil, p.fail("both sides are texts", "compare with a variable, as in "+markerExample)
	}
	p.space()
	return comparison{left, op, right}, nil
}

func (p *scanner) operator() (string, error) {
	for _, op := range comparisons {
		if p.take(op) {
			return op, nil
		}
	}
	if p.word("in") {
		return "in", nil
	}
	back := p.i
	if p.word("not") && p.space() && p.word("in") {
		return "not in", nil
	}
	p.i = back
	return "", p.fail("a comparison must stand here, not "+p.found(), "use ==, !=, <, <=, >, >=, ~=, ===, in or not in")
}

func (p *scanner) operand() (operand, error) {
	if !p.end() && (p.s[p.i] == '"' || p.s[p.i] == '\'') {
		return p.literal()
	}
	n := 0
	for n < len(p.rest()) && (isWordByte(p.rest()[n]) || p.rest()[n] == '.') {
		n++
	}
	name, ok := variables[p.rest()[:n]]
	switch {
	case n == 0:
		return operand{}, p.fail("a variable or a quoted text must stand here, not "+p.found(), "write it like "+markerExample)
	case !ok:
		return operand{}, p.fail(fmt.Sprintf("%q is no variable of markers", p.rest()[:n]), "put texts in quotes; variables are "+variableNames)
	}
	p.i += n
	return operand{variable: name}, nil
}

// literal reads a quoted text. There are no escapes (PEP 508).
func (p *scanner) literal() (operand, error) {
	quote := p.s[p.i]
	n := strings.IndexByte(p.rest()[1:], quote)
	if n < 0 {
		return operand{}, p.fail("the quote is not closed", fmt.Sprintf("add %c", quote))
	}
	text := p.rest()[1 : n+1]
	if i := strings.IndexAny(text, "\\\r\n"); i >= 0 {
		p.i += 1 + i
		return operand{}, p.fail(p.found()+" can't stand in a quoted text", "leave it out")
	}
	p.i += n + 2
	return operand{text: text}, nil
}

const markerExample = `python_version >= "3.8"`
