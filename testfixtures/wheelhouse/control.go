package wheelhouse

import (
	"regexp"
	"strings"
)

// stanza is the fields of a package in a Debian control file (deb822(5)).
type stanza map[string]string

// stanzas reads packages, which are apart by empty lines.
func stanzas(text string) []stanza {
	var out []stanza
	for _, block := range strings.Split(text, "\n\n") {
		s, last := stanza{}, ""
		for _, line := range strings.Split(block, "\n") {
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				s[last] += "\n" + line
				continue
			}
			if k, v, ok := strings.Cut(line, ":"); ok {
				last = k
				s[k] = strings.TrimSpace(v)
			}
		}
		if s["Package"] != "" {
			out = append(out, s)
		}
	}
	return out
}

// dependency is one that must be there, in its first form.
type dependency struct {
	name     string
	relation string // "", ">=", "=", ...
	version  string
}

var dependencySyntax = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]*)(?::\S+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*(\S+?)\s*\))?`)

// dependencies reads Depends. Of alternatives the first counts, and none when
// the interpreter itself is one of them: "python3-importlib-metadata | python3
// (>> 3.10)".
func (s stanza) dependencies() []dependency {
	var out []dependency
	for _, field := range []string{"Pre-Depends", "Depends"} {
		for _, clause := range strings.Split(strings.ReplaceAll(s[field], "\n", " "), ",") {
			alternatives := strings.Split(clause, "|")
			for i := range alternatives {
				alternatives[i] = strings.TrimSpace(alternatives[i])
			}
			if len(alternatives) > 1 && anyPython(alternatives) {
				continue
			}
			if m := dependencySyntax.FindStringSubmatch(alternatives[0]); m != nil {
				out = append(out, dependency{m[1], m[2], m[3]})
			}
		}
	}
	return out
}

func anyPython(alternatives []string) bool {
	for _, a := range alternatives {
		if m := dependencySyntax.FindStringSubmatch(a); m != nil && (m[1] == "python3" || m[1] == "python3-minimal") {
			return true
		}
	}
	return false
}
