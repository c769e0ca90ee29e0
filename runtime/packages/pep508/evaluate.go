package pep508

import (
	"fmt"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// Eval reports whether the marker holds in env for one of the extras, or for
// env.Extra when none is given. A comparison that has no meaning, like
// `os_name ~= "posix"`, counts as false; Evaluate tells.
func (m *Marker) Eval(env Environment, extras ...string) bool {
	ok, err := m.Evaluate(env, extras...)
	return err == nil && ok
}

// Evaluate is Eval that says when a comparison has no meaning. Nil always holds.
func (m *Marker) Evaluate(env Environment, extras ...string) (bool, error) {
	if m == nil {
		return true, nil
	}
	if len(extras) == 0 {
		extras = []string{env.Extra}
	}
	for _, extra := range extras {
		if ok, err := m.root.eval(&values{&env, extra}); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// values answers for one extra.
type values struct {
	env   *Environment
	extra string
}

func (a allOf) eval(v *values) (bool, error) {
	for _, n := range a {
		if ok, err := n.eval(v); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (a anyOf) eval(v *values) (bool, error) {
	for _, n := range a {
		if ok, err := n.eval(v); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// versionVariables hold versions, and are compared as such where both sides
// are. Others are texts.
var versionVariables = []string{"implementation_version", "platform_release", "python_full_version", "python_version"}

func (c comparison) eval(v *values) (bool, error) {
	variable := c.left.variable
	if variable == "" {
		variable = c.right.variable
	}
	if c.left.isSet() || c.right.isSet() {
		return c.evalSet(v)
	}
	left, right := c.left.value(v), c.right.value(v)
	switch {
	case variable == "extra":
		left, right = NormalizeName(left), NormalizeName(right)
	case slices.Contains(versionVariables, variable):
		if ss, err := pep440.ParseSpecifiers(c.op + right); err == nil {
			found, err := pep440.Parse(left)
			return err == nil && ss.Contains(found), nil
		}
	}
	return c.compareTexts(left, right)
}

func (o operand) value(v *values) string {
	switch o.variable {
	case "":
		return o.text
	case "extra":
		return v.extra
	}
	return v.env.value(o.variable)
}

// compareTexts is the fallback for what is no version: texts have no order, so
// "<=" and ">=" mean equal, "<" and ">" never hold.
func (c comparison) compareTexts(left, right string) (bool, error) {
	switch c.op {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	case "==", "<=", ">=":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<", ">":
		return false, nil
	}
	return false, c.meaningless("%s compares versions, and %q or %q is none", c.op, left, right)
}

func (c comparison) meaningless(format string, args ...any) error {
	var b strings.Builder
	c.write(&b, false)
	return fmt.Errorf("evaluate marker %s: "+format, append([]any{b.String()}, args...)...)
}

func (o operand) isSet() bool { return o.variable == "extras" || o.variable == "dependency_groups" }

// evalSet is `"test" in extras` (PEP 751).
func (c comparison) evalSet(v *values) (bool, error) {
	if !c.right.isSet() || c.left.isSet() || c.op != "in" && c.op != "not in" {
		return false, c.meaningless("%s is a set", c.right.variable+c.left.variable)
	}
	set := v.env.Extras
	if c.right.variable == "dependency_groups" {
		set = v.env.DependencyGroups
	}
	want := NormalizeName(c.left.value(v))
	has := slices.ContainsFunc(set, func(s string) bool { return NormalizeName(s) == want })
	return has == (c.op == "in"), nil
}
