package rules

import (
	"strings"

	"blast.example/blast/runtime/network"
)

// covers reports whether a domain of a rule, "example.com" or "*.example.com",
// names the normalized name. A wildcard covers any depth below, not the apex.
func covers(domain, name string) bool {
	if apex, ok := strings.CutPrefix(domain, "*."); ok {
		return strings.HasSuffix(name, "."+apex)
	}
	return domain == name
}

// Environment reads the name of another environment out of a normalized host name. A
// name below the zone that names none is nobody's, whatever the rules say.
func Environment(name string) (env string, ok bool) {
	if name == network.Zone {
		return "", true
	}
	return strings.CutSuffix(name, "."+network.Zone)
}
