package pep440

import (
	"fmt"
	"sort"
	"strings"
)

// Operator is the comparison of a specifier.
type Operator string

// The operators of PEP 440.
const (
	Compatible     Operator = "~="
	Equal          Operator = "=="
	NotEqual       Operator = "!="
	LessOrEqual    Operator = "<="
	GreaterOrEqual Operator = ">="
	Less           Operator = "<"
	Greater        Operator = ">"
	Arbitrary      Operator = "==="
)

// operators in the order to try them: long ones first.
var operators = []Operator{Arbitrary, Compatible, Equal, NotEqual, LessOrEqual, GreaterOrEqual, Less, Greater}

// Specifier is one clause: ">=1.0".
type Specifier struct {
	Op      Operator
	Version Version // zero for Arbitrary when Text is no version
	Prefix  bool    // "==1.2.*": Version is 1.2
	Text    string  // the operand as written
}

// Specifiers are clauses that all must hold. No clause matches everything.
type Specifiers []Specifier

// ParseSpecifiers reads clauses separated by commas: ">=1.0, !=1.5.*". The
// empty text is the empty list. Space around clauses, and between an operator
// and its version, is allowed.
func ParseSpecifiers(s string) (Specifiers, error) {
	var out Specifiers
	for offset := 0; offset <= len(s); {
		clause := s[offset:]
		if i := strings.IndexByte(clause, ','); i >= 0 {
			clause = clause[:i]
		}
		if strings.TrimFunc(clause, isSpace) != "" {
			sp, err := parseClause(s, offset, clause)
			if err != nil {
				return nil, err
			}
			out = append(out, sp)
		}
		offset += len(clause) + 1
	}
	return out, nil
}

// parseClause reads one clause that stands at offset of whole.
func parseClause(whole string, offset int, clause string) (Specifier, error) {
	fail := func(at int, reason, fix string) (Specifier, error) {
		return Specifier{}, &SyntaxError{What: "specifier", Text: whole, Offset: at, Reason: reason, Fix: fix}
	}
	trimmed := strings.TrimFunc(clause, isSpace)
	offset += strings.Index(clause, trimmed)
	op, rest := cutOperator(trimmed)
	if op == "" {
		return fail(offset, fmt.Sprintf("%q doesn't begin with a comparison", clip(trimmed)), "begin with ==, !=, <=, >=, <, >, ~= or ===, as in >=1.0")
	}
	text := strings.TrimLeftFunc(rest, isSpace)
	offset += len(trimmed) - len(text)
	if op == Arbitrary {
		return arbitraryClause(text, offset, fail)
	}
	p := scanner{s: text}
	v, ok := p.version()
	if !ok {
		return fail(offset+p.i, "no version follows "+string(op)+": "+p.reason(), "write a version, as in "+string(op)+"1.0")
	}
	sp := Specifier{Op: op, Version: v, Text: text}
	if sp.Prefix = text[p.i:] == ".*"; !sp.Prefix && p.i < len(text) {
		return fail(offset+p.i, p.reason(), "separate clauses by commas, as in >=1.0,<2.0")
	}
	if reason, fix := sp.misuse(); reason != "" {
		return fail(offset, reason, fix)
	}
	return sp, nil
}

func cutOperator(s string) (Operator, string) {
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(s, string(op)); ok {
			return op, rest
		}
	}
	return "", s
}

func arbitraryClause(text string, offset int, fail func(int, string, string) (Specifier, error)) (Specifier, error) {
	if text == "" {
		return fail(offset, "nothing follows ===", "write the version, as in ===1.0")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return isSpace(r) || r == ';' || r == ')' }); i >= 0 {
		return fail(offset+i, fmt.Sprintf("%q can't stand in the text after ===", text[i]), "separate clauses by commas")
	}
	v, _ := Parse(text) // need not be a version
	return Specifier{Op: Arbitrary, Version: v, Text: text}, nil
}

// misuse says which rule for its operator a clause breaks.
func (s Specifier) misuse() (reason, fix string) {
	v := s.Version
	switch {
	case s.Prefix && s.Op != Equal && s.Op != NotEqual:
		return fmt.Sprintf("%q can't follow %s", ".*", s.Op), "use == or != with .*, or leave .* out"
	case s.Prefix && (v.IsPrerelease() || v.IsPost() || len(v.local) > 0):
		return `".*" can only follow release numbers`, "write it like ==1.2.*"
	case s.Op != Equal && s.Op != NotEqual && len(v.local) > 0:
		return fmt.Sprintf("a local label (+%s) can't be compared with %s", v.Local(), s.Op), "leave +" + v.Local() + " out, or use =="
	case s.Op == Compatible && len(v.release) < 2:
		return "~= needs at least two release numbers", "write ~=" + string(v.release[0]) + ".0"
	}
	return "", ""
}

// String returns the clause as it was written, without space, or in normal form
// when it was made without Text.
func (s Specifier) String() string {
	switch {
	case s.Text != "":
		return string(s.Op) + s.Text
	case s.Prefix:
		return string(s.Op) + s.Version.String() + ".*"
	}
	return string(s.Op) + s.Version.String()
}

// String returns the clauses sorted, with commas between: the same clauses in
// any order give the same text.
func (ss Specifiers) String() string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = s.String()
	}
	sort.Strings(out)
	return strings.Join(out, ",")
}
