// Package edit changes a blast.hcl as its author would: what is there stays byte for
// byte, with comments, layout and ends of lines, and what is added follows it. It
// knows blocks and lists, but no word of the language; whether the result means what it
// should is for the caller to find out, by reading it with package config.
package edit

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A File is a source that is being changed.
type File struct {
	src  []byte
	body *hclsyntax.Body
	eol  string
	unit string // one step of indentation
	cuts []cut
}

// A cut takes the place of some bytes of the source, mostly none.
type cut struct {
	from, to int
	text     string
}

// Parse reads a source, which must have passed config.Guard.
func Parse(src []byte, name string) (*File, hcl.Diagnostics) {
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "No blocks", Detail: name + " is not in HCL's own syntax."}}
	}
	return &File{src: src, body: body, eol: eolOf(src), unit: unitOf(src)}, nil
}

// eolOf is how the first line ends.
func eolOf(src []byte) string {
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// unitOf is the indentation of the first line that has one; two spaces if none has.
func unitOf(src []byte) string {
	for line := range bytes.Lines(src) {
		text := bytes.TrimLeft(line, " \t")
		if n := len(line) - len(text); n > 0 && len(bytes.TrimSpace(text)) > 0 {
			return string(line[:n])
		}
	}
	return "  "
}

// Top is the body of the file itself.
func (f *File) Top() Body { return Body{f, f.body, nil} }

// Bytes is the source with all that was added.
func (f *File) Bytes() []byte {
	cuts := slices.Clone(f.cuts)
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range cuts {
		out = append(append(out, f.src[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, f.src[at:]...)
}

func (f *File) insert(at int, text string) { f.cuts = append(f.cuts, cut{at, at, text}) }

// lineStart is where the line of an offset begins.
func (f *File) lineStart(at int) int { return bytes.LastIndexByte(f.src[:at], '\n') + 1 }

// indent is the white space that the line of an offset begins with.
func (f *File) indent(at int) string {
	line := f.src[f.lineStart(at):]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// first reports whether nothing but white space is before an offset in its line.
func (f *File) first(at int) bool {
	return len(bytes.TrimSpace(f.src[f.lineStart(at):at])) == 0
}

// lines are written with an indentation and the file's ends of lines. Lines are
// indented by two spaces a step, as in Go source they are readable.
func (f *File) lines(indent string, lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		text := strings.TrimLeft(l, " ")
		b.WriteString(indent + strings.Repeat(f.unit, (len(l)-len(text))/2) + text + f.eol)
	}
	return b.String()
}
