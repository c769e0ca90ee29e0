package resolve

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/packages/solver"
)

func problem(at *hcl.Range, summary, detail string) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: at}}
}

func warning(at *hcl.Range, summary, detail string) hcl.Diagnostics {
	diags := problem(at, summary, detail)
	diags[0].Severity = hcl.DiagWarning
	return diags
}

// advice says what a person can do about a conflict: change one of their lines.
func (r *run) advice(c *solver.ConflictError) string {
	var lines []string
	seen := map[string]bool{}
	for _, d := range c.Asked {
		l := fmt.Sprintf("%s (%s)", orAny(d.Place), d.Text)
		if !seen[l] {
			lines = append(lines, l)
		}
		seen[l] = true
	}
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("\nChange or remove %s.", lines[0])
	}
	n := len(lines) - 1
	return fmt.Sprintf("\nLoosen or remove one of %s and %s.", strings.Join(lines[:n], ", "), lines[n])
}
