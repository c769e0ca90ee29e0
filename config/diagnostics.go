package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
)

// maxShown is how many diagnostics are shown; the rest is counted.
const maxShown = 20

// tidy sorts diagnostics by place, blast.hcl first, and drops those that say the
// same about the same place.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		x, y := subject(a), subject(b)
		return cmp.Or(
			cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Filename, y.Filename),
			cmp.Compare(x.Start.Line, y.Start.Line), cmp.Compare(x.Start.Column, y.Start.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Summary, b.Summary), cmp.Compare(a.Detail, b.Detail),
		)
	})
	return slices.CompactFunc(diags, func(a, b *hcl.Diagnostic) bool {
		return subject(a).Start == subject(b).Start && subject(a).Filename == subject(b).Filename && a.Summary == b.Summary && a.Detail == b.Detail
	})
}

func subject(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

func rank(r hcl.Range) int {
	if r.Filename == FileName {
		return 0
	}
	return 1
}

// WriteDiagnostics shows diagnostics to a person: what, where, the line itself,
// why and how to fix it. At most 20 are shown, errors before warnings, and the
// rest is counted. Writing is best effort, as it goes to stderr.
func WriteDiagnostics(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, color bool, width int) {
	diags = tidy(slices.Clone(diags))
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Severity, b.Severity) })
	var b strings.Builder
	for i, d := range diags {
		if i == maxShown {
			fmt.Fprintf(&b, "... and %d more.\n", len(diags)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		p := printer{&b, color, max(width, 40)}
		p.diagnostic(files, d)
	}
	_, _ = io.WriteString(w, b.String())
}

// printer draws one diagnostic.
type printer struct {
	*strings.Builder
	color bool
	width int
}

const (
	red    = "31"
	yellow = "33"
	bold   = "1"
)

func (p printer) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p printer) diagnostic(files map[string]*hcl.File, d *hcl.Diagnostic) {
	title, code := "Error", red
	if d.Severity == hcl.DiagWarning {
		title, code = "Warning", yellow
	}
	fmt.Fprintf(p, "%s %s\n", p.paint(bold+";"+code, title+":"), p.paint(bold, printable(d.Summary)))
	if d.Subject != nil {
		f := files[d.Subject.Filename]
		if _, hidden := d.Extra.(block.Hidden); hidden {
			f = nil
		}
		p.place(f, *d.Subject, code)
	}
	for _, line := range wrap(printable(d.Detail), p.width-2) {
		fmt.Fprintf(p, "  %s\n", line)
	}
}

// place writes the name of the file, the line and a mark below the part that is
// meant.
func (p printer) place(f *hcl.File, r hcl.Range, code string) {
	if !strings.Contains(r.Filename, ".") && f == nil { // --var x, BLAST_VAR_x: there is no line
		fmt.Fprintf(p, "  in %s\n", printable(r.Filename))
		return
	}
	fmt.Fprintf(p, "  on %s:%d,%d\n", printable(r.Filename), r.Start.Line, r.Start.Column)
	line, ok := lineOf(f, r.Start.Line)
	if !ok {
		return
	}
	gutter := fmt.Sprintf("%5d | ", r.Start.Line)
	from, length := column(line, r)
	line, from = window(line, from, p.width-len(gutter))
	fmt.Fprintf(p, "%s%s\n", gutter, printable(line))
	if strings.TrimSpace(line) != "" {
		length = min(length, max(utf8.RuneCountInString(line)-from, 1))
		fmt.Fprintf(p, "%s| %s%s\n", strings.Repeat(" ", len(gutter)-2), strings.Repeat(" ", from), p.paint(code, strings.Repeat("^", length)))
	}
}

func lineOf(f *hcl.File, n int) (string, bool) {
	if f == nil || n < 1 {
		return "", false
	}
	src := f.Bytes
	for ; n > 1; n-- {
		i := bytes.IndexByte(src, '\n')
		if i < 0 {
			return "", false
		}
		src = src[i+1:]
	}
	line, _, _ := bytes.Cut(src, []byte("\n"))
	return strings.ReplaceAll(strings.TrimRight(string(line), "\r"), "\t", " "), true
}

// column is where the mark begins, in characters, and how long it is. A range
// without columns, such as a line of a manifest, means the whole line.
func column(line string, r hcl.Range) (from, length int) {
	all := utf8.RuneCountInString(line)
	if r.Start.Column <= 1 && r.Start == r.End {
		trimmed := len(line) - len(strings.TrimLeft(line, " "))
		return trimmed, max(all-trimmed, 1)
	}
	from = min(max(r.Start.Column-1, 0), all)
	length = all - from
	if r.End.Line == r.Start.Line {
		length = r.End.Column - r.Start.Column
	}
	return from, max(length, 1)
}

// window cuts a long line to the part around the mark.
func window(line string, from, width int) (string, int) {
	rs := []rune(line)
	if len(rs) <= width {
		return line, from
	}
	start := max(min(from-width/3, len(rs)-width), 0)
	return string(rs[start : start+width]), from - start
}

// printable keeps text of a file from drawing over the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != utf8.RuneError && unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '?'
	}, s)
}

// wrap breaks text at spaces. What begins with a blank is something to copy, and
// stays as it is.
func wrap(s string, width int) []string {
	var out []string
	for para := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(para, " ") {
			out = append(out, para)
			continue
		}
		line := ""
		for _, word := range strings.Fields(para) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				out, line = append(out, line), ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}
