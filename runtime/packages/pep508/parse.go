package pep508

import (
	"errors"
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

const example = `name>=1.0; python_version >= "3.8"`

// Parse reads a requirement: `name[extra]>=1.0; python_version >= "3.8"` or
// `name @ https://example.com/name.whl`.
func Parse(s string) (Requirement, error) {
	p := &scanner{what: "requirement", s: s}
	if len(s) > maxText {
		return Requirement{}, p.fail(fmt.Sprintf("it is longer than %d bytes", maxText), "")
	}
	p.space()
	n := nameLength(p.rest())
	if n == 0 {
		return Requirement{}, p.fail("a project's name must stand here, not "+p.found(), "write it like "+example)
	}
	r := Requirement{Name: p.rest()[:n]}
	p.i += n
	p.space()
	err := p.afterName(&r)
	if err != nil {
		return Requirement{}, err
	}
	return r, nil
}

func (p *scanner) afterName(r *Requirement) (err error) {
	if p.take("[") {
		if r.Extras, err = p.extras(); err != nil {
			return err
		}
		p.space()
	}
	if p.take("@") {
		err = p.url(r)
	} else {
		err = p.versions(r)
	}
	if err != nil {
		return err
	}
	if p.take(";") {
		if r.Marker, err = p.wholeMarker(); err != nil {
			return err
		}
	}
	if !p.end() {
		return p.fail(p.found()+" can't stand here", "write a version as in name>=1.0, a marker after a semicolon, or nothing")
	}
	return nil
}

// extras reads the names up to "]".
func (p *scanner) extras() ([]string, error) {
	var out []string
	for {
		p.space()
		if len(out) == 0 && p.take("]") {
			return nil, nil
		}
		n := nameLength(p.rest())
		if n == 0 {
			return nil, p.fail("an extra's name must stand here, not "+p.found(), "write extras like name[one,two]")
		}
		out = append(out, p.rest()[:n])
		p.i += n
		p.space()
		if p.take("]") {
			return sortedOnce(out), nil
		}
		if !p.take(",") {
			return nil, p.fail("a comma or ] must stand here, not "+p.found(), "write extras like name[one,two]")
		}
	}
}

func (p *scanner) url(r *Requirement) error {
	p.space()
	n := strings.IndexAny(p.rest(), " \t\r\n\v\f")
	if n < 0 {
		n = len(p.rest())
	}
	if n == 0 {
		return p.fail("no URL follows @", "write name @ https://example.com/name-1.0-py3-none-any.whl")
	}
	r.URL = p.rest()[:n]
	p.i += n
	p.space()
	if !p.end() && !strings.HasPrefix(p.rest(), ";") {
		return p.fail(p.found()+" can't follow a URL", `put a space and ";" between the URL and its marker`)
	}
	return nil
}

// versions reads the specifiers, with or without parentheses.
func (p *scanner) versions(r *Requirement) error {
	stop, closing := ";", ""
	if p.take("(") {
		stop, closing = ")", ")"
	}
	n := strings.Index(p.rest(), stop)
	switch {
	case n < 0 && closing != "":
		p.i = len(p.s)
		return p.fail("the parenthesis is not closed", `add ")" after the versions`)
	case n < 0:
		n = len(p.rest())
	}
	text := p.rest()[:n]
	if err := p.specifiers(r, text); err != nil {
		return err
	}
	p.i += n + len(closing)
	p.space()
	return nil
}

func (p *scanner) specifiers(r *Requirement, text string) error {
	if clauses := strings.Split(text, ","); len(clauses) > 1 {
		at := 0
		for _, c := range clauses[:len(clauses)-1] { // the last may be empty
			if strings.TrimSpace(c) == "" {
				p.i += at
				return p.fail("nothing stands before the comma", "write versions like >=1.0,<2.0")
			}
			at += len(c) + 1
		}
	}
	ss, err := pep440.ParseSpecifiers(text)
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		p.i += syntax.Offset
		return p.fail(syntax.Reason, syntax.Fix)
	}
	r.Specifiers = ss
	return err
}
