package pep440

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxVersion bounds the bytes of a version: indexes are not trusted, and the
// longest on PyPI has less than 200.
const maxVersion = 1024

// Parse reads a version in any form that PEP 440 allows, normal or not.
func Parse(s string) (Version, error) {
	text := strings.TrimFunc(s, isSpace)
	start := strings.Index(s, text)
	p := scanner{s: text}
	v, ok := p.version()
	if ok && p.i == len(text) {
		v.text = s
		return v, nil
	}
	return Version{}, &SyntaxError{
		What: "version", Text: s, Offset: start + p.i, Reason: p.reason(),
		Fix: "write it like 1.2.3, 1.0rc1 or 1.0.post1 (PEP 440)",
	}
}

// isSpace is what Python's str.strip takes away.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

// scanner reads a version from left to right. The grammar needs no way back:
// each part is told by its first letters.
type scanner struct {
	s string
	i int
}

func (p *scanner) reason() string {
	switch {
	case len(p.s) > maxVersion:
		return fmt.Sprintf("it is longer than %d bytes", maxVersion)
	case p.s == "":
		return "it is empty"
	case p.i >= len(p.s):
		return "it ends too early"
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return fmt.Sprintf("%q can't stand here", r)
}

// version reads the longest version at the scanner's place. ok is false when
// there is none.
func (p *scanner) version() (v Version, ok bool) {
	if len(p.s) > maxVersion {
		return v, false
	}
	start := p.i
	p.word("v")
	if !p.epochAndRelease(&v) {
		return v, false
	}
	p.suffixes(&v)
	if !p.localLabel(&v) {
		return v, false
	}
	v.text = p.s[start:p.i]
	return v, true
}

func (p *scanner) epochAndRelease(v *Version) bool {
	n, ok := p.number()
	if !ok {
		return false
	}
	v.epoch = "0"
	if p.word("!") {
		v.epoch = n
		if n, ok = p.number(); !ok {
			return false
		}
	}
	v.release = append(make([]Number, 0, 3), n)
	for p.i+1 < len(p.s) && p.s[p.i] == '.' && isDigit(p.s[p.i+1]) {
		p.i++
		n, _ = p.number()
		v.release = append(v.release, n)
	}
	return true
}

// preWords are the spellings of the pre-release phases, long ones first.
var preWords = []struct {
	word  string
	phase phase
}{
	{"alpha", alpha},
	{"beta", beta},
	{"preview", candidate},
	{"pre", candidate},
	{"rc", candidate},
	{"a", alpha},
	{"b", beta},
	{"c", candidate},
}

// suffixes reads the pre, post and dev parts, each optional.
func (p *scanner) suffixes(v *Version) {
	for _, w := range preWords {
		if n, ok := p.labelled(w.word); ok {
			v.phase, v.pre = w.phase, n
			break
		}
	}
	v.post = p.postPart()
	if n, ok := p.labelled("dev"); ok {
		v.dev = n
	}
}

func (p *scanner) postPart() Number {
	if p.i+1 < len(p.s) && p.s[p.i] == '-' && isDigit(p.s[p.i+1]) {
		p.i++
		n, _ := p.number()
		return n
	}
	for _, w := range []string{"post", "rev", "r"} {
		if n, ok := p.labelled(w); ok {
			return n
		}
	}
	return ""
}

// labelled reads "[-_.]? word [-_.]? number?"; no number means 0.
func (p *scanner) labelled(word string) (Number, bool) {
	back := p.i
	p.separator()
	if !p.word(word) {
		p.i = back
		return "", false
	}
	p.separator()
	if n, ok := p.number(); ok {
		return n, true
	}
	return "0", true
}

func (p *scanner) separator() {
	if p.i < len(p.s) && strings.IndexByte("-_.", p.s[p.i]) >= 0 {
		p.i++
	}
}

// localLabel reads "+" and its segments. It is false only when "+" is there
// and no segment follows.
func (p *scanner) localLabel(v *Version) bool {
	if !p.word("+") {
		return true
	}
	for {
		seg := p.while(isAlnum)
		if seg == "" {
			return false
		}
		v.local = append(v.local, normalSegment(seg))
		if p.i+1 >= len(p.s) || strings.IndexByte("-_.", p.s[p.i]) < 0 || !isAlnum(p.s[p.i+1]) {
			return true
		}
		p.i++
	}
}

func normalSegment(s string) string {
	if isDigits(s) {
		return string(newNumber(s))
	}
	return strings.ToLower(s)
}

func (p *scanner) number() (Number, bool) {
	d := p.while(isDigit)
	if d == "" {
		return "", false
	}
	return newNumber(d), true
}

func (p *scanner) while(is func(byte) bool) string {
	start := p.i
	for p.i < len(p.s) && is(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

// word reads w (lower case, ASCII) in any case.
func (p *scanner) word(w string) bool {
	if len(p.s)-p.i < len(w) {
		return false
	}
	for k := range len(w) {
		c := p.s[p.i+k]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != w[k] {
			return false
		}
	}
	p.i += len(w)
	return true
}
