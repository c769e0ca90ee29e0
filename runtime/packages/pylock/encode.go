package pylock

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Encode writes a lock file: the same File always gives the same bytes. Packages
// are sorted by name and version, wheels by name, one value a line, so that a
// change of one package is a small change of the file.
func Encode(f File) []byte {
	var w writer
	w.text("lock-version", cmp.Or(f.LockVersion, Version))
	w.list("environments", f.Environments)
	w.optional("requires-python", f.RequiresPython)
	w.text("created-by", cmp.Or(f.CreatedBy, CreatedBy))
	for _, p := range sorted(f.Packages, byNameAndVersion) {
		w.pkg(p)
	}
	if f.Fit != (Fit{}) {
		w.header("[tool.blast]")
		w.optional("requirements", f.Fit.Requirements)
		w.optional("interpreter", f.Fit.Interpreter)
	}
	return w.b.Bytes()
}

func byNameAndVersion(a, b Package) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Marker, b.Marker))
}

// sorted returns a sorted copy: a caller's lists are its own.
func sorted[T any](list []T, order func(a, b T) int) []T {
	out := slices.Clone(list)
	slices.SortStableFunc(out, order)
	return out
}

type writer struct{ b bytes.Buffer }

func (w *writer) pkg(p Package) {
	w.header("[[packages]]")
	w.text("name", p.Name)
	w.optional("version", p.Version)
	w.optional("marker", p.Marker)
	w.optional("requires-python", p.RequiresPython)
	w.dependencies(p.Dependencies)
	w.optional("index", p.Index)
	for _, wheel := range sorted(p.Wheels, func(a, b Wheel) int { return cmp.Compare(a.Name, b.Name) }) {
		w.wheel(wheel)
	}
	if p.Direct || len(p.Extras) > 0 {
		w.header("[packages.tool.blast]")
		if p.Direct {
			w.line("direct", "true")
		}
		w.list("extras", p.Extras)
	}
}

func (w *writer) wheel(f Wheel) {
	w.header("[[packages.wheels]]")
	w.text("name", f.Name)
	w.optional("url", f.URL)
	w.optional("path", f.Path)
	if f.Size > 0 {
		w.line("size", strconv.FormatInt(f.Size, 10))
	}
	hashes := "{}" // the key is required
	if f.SHA256 != "" {
		hashes = "{ sha256 = " + quote(f.SHA256) + " }"
	}
	w.line("hashes", hashes)
}

func (w *writer) dependencies(ds []Dependency) {
	if len(ds) == 0 {
		return
	}
	w.b.WriteString("dependencies = [\n")
	for _, d := range sorted(ds, func(a, b Dependency) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	}) {
		w.b.WriteString("    { name = " + quote(d.Name))
		if d.Version != "" {
			w.b.WriteString(", version = " + quote(d.Version))
		}
		w.b.WriteString(" },\n")
	}
	w.b.WriteString("]\n")
}

func (w *writer) header(h string) { w.b.WriteString("\n" + h + "\n") }

func (w *writer) line(key, value string) { w.b.WriteString(key + " = " + value + "\n") }

func (w *writer) text(key, value string) { w.line(key, quote(value)) }

func (w *writer) optional(key, value string) {
	if value != "" {
		w.text(key, value)
	}
}

func (w *writer) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	w.line(key, "["+strings.Join(quoted, ", ")+"]")
}

// quote writes a TOML basic string (TOML 1.0, "String"). What is not UTF-8 can't
// be in a TOML file and becomes U+FFFD.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7F:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
