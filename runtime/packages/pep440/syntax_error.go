package pep440

import "fmt"

// SyntaxError says what is wrong in a version, specifier, requirement or
// marker, where, and what would be right.
type SyntaxError struct {
	What   string // kind of text: "version", "specifier", "requirement", "marker"
	Text   string // the whole text that was read
	Offset int    // byte offset of the problem in Text
	Reason string // what is wrong: `"x" can't follow a release number`
	Fix    string // what to write instead
}

// Error returns one line: kind, text, place, reason and fix.
func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("invalid %s %q: at offset %d: %s", e.What, clip(e.Text), e.Offset, e.Reason)
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// clip keeps messages about hostile input short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
