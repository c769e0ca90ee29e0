package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/block"
)

// settings checks the blast block.
func (l *loader) settings(blocks []*hclsyntax.Block) {
	v, diags := l.top(blocks)
	l.report(diags...)
	l.generations(v.Block("blast"))
	text := v.Block("blast").String("required_version", "")
	if text == "" {
		return
	}
	at := v.Block("blast").At("required_version")
	fits, err := versionFits(l.opts.Version, text)
	switch {
	case err != nil:
		l.report(block.Errorf(at, "Invalid version constraint", "%q: %v. Write for example \">= 0.1, < 1\".", text, err))
	case !fits:
		l.report(block.Errorf(at, "Another version is required", "This is Blast %s, and the file asks for %s. Install a version that fits, or change required_version.", l.opts.Version, text))
	}
}

// maxGenerations bounds the history: each generation is a record of its own, and what it
// refers to is kept.
const maxGenerations = 1000

func (l *loader) generations(v *block.Values) {
	n, ok := v.Int("generations")
	if !ok {
		return
	}
	if n < 1 || n > maxGenerations {
		l.report(block.Errorf(v.At("generations"), "Number out of range", "generations is %d, and can be from 1 to %d. The current one is kept in any case: write 1 to keep no other.", n, maxGenerations))
		return
	}
	l.file.Generations = int(n)
}

// top decodes blocks that stand at the top of the file.
func (l *loader) top(blocks []*hclsyntax.Block) (*block.Values, hcl.Diagnostics) {
	content := &hcl.BodyContent{}
	for _, b := range blocks {
		content.Blocks = append(content.Blocks, b.AsHCLBlock())
	}
	return block.Reader{Eval: l.eval, Files: l.file.Sources}.Content(content, nil, FileBlocks)
}

// versionFits reports whether a version meets comma-separated constraints, in
// Terraform's operators. What follows a "-", as in 0.1.0-dev, counts as the
// release itself. An unknown version fits everything.
func versionFits(version, constraints string) (bool, error) {
	version, _, _ = strings.Cut(version, "-")
	have, _, err := parseVersion(version)
	fits := true
	for _, c := range strings.Split(constraints, ",") {
		c = strings.TrimSpace(c)
		op := strings.TrimRight(c[:len(c)-len(strings.TrimLeft(c, "=!<>~"))], " ")
		want, n, wrong := parseVersion(strings.TrimSpace(c[len(op):]))
		if wrong != nil {
			return false, wrong
		}
		ok, known := compareBy(op, have, want, n)
		if !known {
			return false, fmt.Errorf("%q is no operator", op)
		}
		fits = fits && ok
	}
	return fits || err != nil, nil
}

func compareBy(op string, have, want [3]int, n int) (ok, known bool) {
	c := 0
	for i := range have {
		if c == 0 {
			c = have[i] - want[i]
		}
	}
	switch op {
	case "", "=":
		return c == 0, true
	case "!=":
		return c != 0, true
	case ">":
		return c > 0, true
	case ">=":
		return c >= 0, true
	case "<":
		return c < 0, true
	case "<=":
		return c <= 0, true
	case "~>": // only the last number that is written may grow
		same := true
		for i := range max(n-1, 1) {
			same = same && have[i] == want[i]
		}
		return c >= 0 && same, true
	}
	return false, false
}

// parseVersion reads one to three numbers and says how many there were.
func parseVersion(s string) (v [3]int, n int, err error) {
	fields := strings.Split(s, ".")
	if len(fields) > 3 {
		return v, 0, fmt.Errorf("%q has more than three numbers", s)
	}
	for i, f := range fields {
		if v[i], err = strconv.Atoi(f); err != nil || v[i] < 0 || len(f) > 6 {
			return v, 0, fmt.Errorf("%q is not a version", s)
		}
	}
	return v, len(fields), nil
}
