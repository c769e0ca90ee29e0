// Package hostname reads names of hosts as clients write them. Whoever compares or
// prints one goes through here.
package hostname

import (
	"bytes"
	"strings"
)

// Bounds of RFC 1035 section 3.1, in bytes: of a name without its final dot, and
// of a part of it.
const (
	maxName  = 253
	maxLabel = 63
)

// Normalize brings a host name, as a client wrote it, into the form that rules
// are written in: lower-case A-labels without a final dot. It says no to all
// else. A name with a byte that could be read in two ways names nothing: NUL,
// the KELVIN SIGN that lower-cases to k, an escaped dot, raw UTF-8.
func Normalize(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	b := []byte(name)
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return "", false
		}
	}
	for label := range bytes.SplitSeq(b, []byte(".")) {
		if len(label) == 0 || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	return string(b), true
}

// Label makes a rule's label of a host: api.github.com is api-github-com.
func Label(host string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(host)), "-")
}
