package allow

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/runtime/network"
)

// lines is a rule in the words of blast.hcl, with = below each other.
func lines(e network.Egress) []string {
	var words [][2]string
	add := func(name, value string) { words = append(words, [2]string{name, value}) }
	if len(e.Domains) > 0 {
		add("domains", list(e.Domains))
	} else {
		add("cidrs", list(e.CIDRs))
	}
	if len(e.Ports) > 0 {
		ports := make([]string, 0, len(e.Ports))
		for _, p := range e.Ports {
			ports = append(ports, fmt.Sprint(p))
		}
		add("ports", "["+strings.Join(ports, ", ")+"]")
	}
	if e.Protocol != "tcp" {
		add("protocol", quote(e.Protocol))
	}
	if len(e.During) > 0 {
		add("during", list(e.During))
	}
	if e.Reason != "" {
		add("reason", quote(e.Reason))
	}
	if e.Expires != "" {
		add("expires", quote(e.Expires))
	}
	width := 0
	for _, w := range words {
		width = max(width, len(w[0]))
	}
	out := []string{"egress " + quote(e.Name) + " {"}
	for _, w := range words {
		out = append(out, fmt.Sprintf("  %-*s = %s", width, w[0], w[1]))
	}
	return append(out, "}")
}

func list(texts []string) string {
	quoted := make([]string, 0, len(texts))
	for _, t := range texts {
		quoted = append(quoted, quote(t))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote writes a text so that nothing in it is a template: ${ and %{ stay what they are.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}
