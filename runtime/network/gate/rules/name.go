package rules

import "strings"

// maxName is the longest name without its final dot, RFC 1035 section 3.1.
const maxName = 253

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
	label := 0 // its length until now
	for i, c := range b {
		switch {
		case c == '.':
			if label == 0 || b[i-1] == '-' {
				return "", false
			}
			label = 0
			continue
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case c == '-' && label > 0:
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	if label == 0 || b[len(b)-1] == '-' {
		return "", false
	}
	return string(b), true
}

// covers reports whether a domain of a rule, "example.com" or "*.example.com",
// names the normalized name. A wildcard covers any depth below, not the apex.
func covers(domain, name string) bool {
	if apex, ok := strings.CutPrefix(domain, "*."); ok {
		return strings.HasSuffix(name, "."+apex)
	}
	return domain == name
}
