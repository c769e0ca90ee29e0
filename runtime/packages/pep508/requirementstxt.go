package pep508

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxFile bounds the bytes of a requirements file or pyproject.toml.
const maxFile = 4 << 20

// ParseRequirementsTxt reads a requirements file as pip does: comments, lines
// continued by a backslash, markers, --hash. name is for places only.
//
// What Blast doesn't do (other files, other indexes, URLs, editable projects)
// is a Problem, never skipped in silence. Use ReadRequirements to follow -r and
// -c.
func ParseRequirementsTxt(name string, data []byte) ([]Line, []Problem) {
	f := &requirementsFile{name: name}
	f.parse(data)
	return f.lines, f.problems
}

// requirementsFile collects what a file says.
type requirementsFile struct {
	name       string
	constraint bool
	include    func(f *requirementsFile, number int, target string, constraint bool) // nil: report
	lines      []Line
	problems   []Problem
}

func (f *requirementsFile) parse(data []byte) {
	switch {
	case len(data) > maxFile:
		f.problem(0, "File too large", "The file has %d bytes; at most %d are read. Is it a requirements file?", len(data), maxFile)
		return
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		f.problem(0, "File is no text", "The file is not UTF-8 text. Save it as UTF-8.")
		return
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for _, l := range logicalLines(text) {
		f.line(l.number, l.text)
	}
}

// logicalLine is one or more lines, joined by backslashes at their ends.
type logicalLine struct {
	number int
	text   string
}

// comment begins at the start of a line or after space: a "#" inside of a URL
// is none.
var comment = regexp.MustCompile(`(^|\s)#.*$`)

func logicalLines(text string) []logicalLine {
	var out []logicalLine
	open := false
	for i, raw := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		more := strings.HasSuffix(raw, `\`) && !strings.HasPrefix(strings.TrimSpace(raw), "#")
		part := comment.ReplaceAllString(strings.TrimSuffix(raw, `\`), "")
		if open {
			out[len(out)-1].text += part
		} else {
			out = append(out, logicalLine{i + 1, part})
		}
		open = more
	}
	return out
}

func (f *requirementsFile) line(number int, text string) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
	case strings.HasPrefix(text, "-"):
		f.option(number, text)
	case strings.Contains(text, "${"):
		f.problem(number, "Environment variable in a requirement", "%q names an environment variable, and what is locked must not depend on one. Write the value.", text)
	case looksLikePath(text):
		f.problem(number, "Requirement by path or URL is not supported", "%q names a file or address; Blast installs wheels from a package index, by name. Write the project's name and version.", firstWord(text))
	default:
		f.requirement(number, text)
	}
}

// requirement reads a name and what follows, then options.
func (f *requirementsFile) requirement(number int, text string) {
	text, options := cutOptions(text)
	r, err := Parse(text)
	if err != nil {
		f.problem(number, "Invalid requirement", "%s.", sentence(err))
		return
	}
	if r.URL != "" {
		f.problem(number, "Requirement by path or URL is not supported", "%q comes from an address; Blast installs wheels from a package index, by name. Write %s and a version.", text, r.Name)
		return
	}
	hashes, ok := f.hashes(number, options)
	if !ok {
		return
	}
	f.lines = append(f.lines, Line{Requirement: r, Text: text, File: f.name, Number: number, Constraint: f.constraint, Hashes: hashes})
}

// cutOptions splits at the first word that begins with "-", as pip does.
func cutOptions(text string) (string, []string) {
	at := optionStart.FindStringIndex(text)
	if at == nil {
		return text, nil
	}
	return strings.TrimSpace(text[:at[0]]), strings.Fields(text[at[0]:])
}

var optionStart = regexp.MustCompile(`\s-`)

// hashLength is the hex digits of the hashes that pip counts as strong.
var hashLength = map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}

func (f *requirementsFile) hashes(number int, options []string) ([]string, bool) {
	var out []string
	for i := 0; i < len(options); i++ {
		name, value, ok := strings.Cut(options[i], "=")
		if name != "--hash" {
			f.problem(number, "Option is not supported", "%s can't stand after a requirement here: Blast installs wheels and builds nothing. Remove the option.", name)
			return nil, false
		}
		if !ok && i+1 < len(options) {
			i++
			value = options[i]
		}
		algorithm, digest, _ := strings.Cut(value, ":")
		if hashLength[algorithm] != len(digest) || len(digest) == 0 || !isHex(digest) {
			f.problem(number, "Invalid hash", "%q is no hash that can be checked. Write --hash=sha256: and 64 hexadecimal digits (or sha384, sha512).", value)
			return nil, false
		}
		out = append(out, algorithm+":"+strings.ToLower(digest))
	}
	return out, true
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// looksLikePath reports whether a line begins with a path or URL, and not with
// a name.
func looksLikePath(text string) bool {
	word := firstWord(text)
	name, _, _ := strings.Cut(word, "[")
	return urlScheme.MatchString(word) ||
		strings.HasPrefix(word, ".") || strings.HasPrefix(word, "/") || strings.HasPrefix(word, "~") ||
		strings.HasSuffix(name, ".whl") || strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".zip")
}

func firstWord(text string) string {
	if i := strings.IndexAny(text, " \t;"); i > 0 {
		return text[:i]
	}
	return text
}

func (f *requirementsFile) problem(number int, summary, format string, args ...any) {
	f.problems = append(f.problems, newProblem(f.name, number, summary, format, args...))
}

// sentence begins an error with a capital letter.
func sentence(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
