// Package shellword writes words of commands that people are told to type. A folder may
// have any name, and its reader may be root.
package shellword

import "strings"

// Quote writes a word so that a POSIX shell reads it as it is.
func Quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, strange) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// strange is what a shell may not take as it stands.
func strange(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./=:,@%+", r)
}
