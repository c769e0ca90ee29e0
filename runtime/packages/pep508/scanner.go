package pep508

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxText bounds the bytes of a requirement: metadata is not trusted.
const maxText = 1 << 16

// scanner walks over a requirement or a marker.
type scanner struct {
	what string // for errors
	s    string
	i    int
}

func (p *scanner) end() bool { return p.i >= len(p.s) }

func (p *scanner) rest() string { return p.s[p.i:] }

// space skips blanks and tells whether there were any.
func (p *scanner) space() bool {
	start := p.i
	for !p.end() && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
	return p.i > start
}

// take skips w when it comes next.
func (p *scanner) take(w string) bool {
	if !strings.HasPrefix(p.rest(), w) {
		return false
	}
	p.i += len(w)
	return true
}

// word skips w when it comes next as a whole word.
func (p *scanner) word(w string) bool {
	if !strings.HasPrefix(p.rest(), w) {
		return false
	}
	if after := p.rest()[len(w):]; after != "" && isWordByte(after[0]) || p.i > 0 && isWordByte(p.s[p.i-1]) {
		return false
	}
	p.i += len(w)
	return true
}

func isWordByte(c byte) bool { return isAlnum(c) || c == '_' || c >= utf8.RuneSelf }

func (p *scanner) fail(reason, fix string) error {
	return &SyntaxError{What: p.what, Text: p.s, Offset: p.i, Reason: reason, Fix: fix}
}

// found names what comes next, for errors.
func (p *scanner) found() string {
	if p.end() {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.rest())
	return fmt.Sprintf("%q", r)
}
