package rules

import "strings"

// covers reports whether a domain of a rule, "example.com" or "*.example.com",
// names the normalized name. A wildcard covers any depth below, not the apex.
func covers(domain, name string) bool {
	if apex, ok := strings.CutPrefix(domain, "*."); ok {
		return strings.HasSuffix(name, "."+apex)
	}
	return domain == name
}
