package pep508

import (
	"strings"
)

// Marker is a condition on the environment: `python_version < "3.11" and
// extra == "test"`.
type Marker struct{ root node }

// String returns the marker so that ParseMarker reads the same one again.
func (m *Marker) String() string {
	var b strings.Builder
	m.root.write(&b, false)
	return b.String()
}

// UsesExtra reports whether the marker asks which extras are wanted.
func (m *Marker) UsesExtra() bool { return m.root.mentions("extra") }

// MarshalText writes the marker.
func (m *Marker) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a marker.
func (m *Marker) UnmarshalText(b []byte) error {
	parsed, err := ParseMarker(string(b))
	if err == nil {
		*m = *parsed
	}
	return err
}

// node is a part of a marker: allOf, anyOf or comparison.
type node interface {
	eval(env *values) (bool, error)
	write(b *strings.Builder, inAll bool)
	mentions(variable string) bool
}

// allOf holds when every part holds ("and"), anyOf when one does ("or").
type (
	allOf []node
	anyOf []node
)

// comparison is `python_version >= "3.8"`.
type comparison struct {
	left  operand
	op    string // of PEP 440, "in" or "not in"
	right operand
}

// operand is a variable of the environment or a literal text.
type operand struct {
	variable string // "" for a literal
	text     string
}

func (a allOf) write(b *strings.Builder, _ bool) {
	for i, n := range a {
		if i > 0 {
			b.WriteString(" and ")
		}
		n.write(b, true)
	}
}

func (a anyOf) write(b *strings.Builder, inAll bool) {
	if inAll {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, n := range a {
		if i > 0 {
			b.WriteString(" or ")
		}
		n.write(b, false)
	}
}

func (c comparison) write(b *strings.Builder, _ bool) {
	b.WriteString(c.left.String() + " " + c.op + " " + c.right.String())
}

func (o operand) String() string {
	switch {
	case o.variable != "":
		return o.variable
	case strings.Contains(o.text, `"`):
		return "'" + o.text + "'"
	}
	return `"` + o.text + `"`
}

func (a allOf) mentions(v string) bool { return mention(a, v) }
func (a anyOf) mentions(v string) bool { return mention(a, v) }

func (c comparison) mentions(v string) bool { return c.left.variable == v || c.right.variable == v }

func mention(parts []node, v string) bool {
	for _, n := range parts {
		if n.mentions(v) {
			return true
		}
	}
	return false
}
