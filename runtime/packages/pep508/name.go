package pep508

import (
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// SyntaxError says what is wrong in a text, where, and how to mend it.
type SyntaxError = pep440.SyntaxError

// NormalizeName returns a project or extra name as indexes and comparisons use
// it (PEP 503): lower case, each run of "-", "_" and "." one "-".
func NormalizeName(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	run := false
	for _, r := range name {
		if r == '-' || r == '_' || r == '.' {
			if !run {
				b.WriteByte('-')
			}
			run = true
			continue
		}
		run = false
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// ValidName reports whether name can name a project or an extra: ASCII letters
// and digits, with "-", "_" and "." inside.
func ValidName(name string) bool { return name != "" && nameLength(name) == len(name) }

// nameLength is the length of the longest name at the beginning of s.
func nameLength(s string) int {
	end := 0
	for i := range len(s) {
		switch {
		case isAlnum(s[i]):
			end = i + 1
		case i == 0 || strings.IndexByte("-_.", s[i]) < 0:
			return end
		}
	}
	return end
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
