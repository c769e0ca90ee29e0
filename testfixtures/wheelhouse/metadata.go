package wheelhouse

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/pep508"
)

// metadata is the METADATA or PKG-INFO file of a project (core metadata).
type metadata struct {
	head, body []byte // head without the empty line that ends it
	egg        bool   // of .egg-info, which may lack requirements
	name       string
	version    string
	extras     []string
	requires   []string
	from       string // where requires comes from
	added      []string
}

func readMetadata(files tree) (*metadata, error) {
	raw, ok := files["METADATA"]
	m := &metadata{from: "metadata"}
	if !ok {
		m.egg = true
		if raw, ok = files["PKG-INFO"]; !ok {
			raw = files[""] // egg-info that is a file
		}
	}
	m.head, m.body, _ = bytes.Cut(raw, []byte("\n\n"))
	for _, line := range strings.Split(string(m.head), "\n") {
		k, v, _ := strings.Cut(line, ":")
		switch v = strings.TrimSpace(v); k {
		case "Name":
			m.name = v
		case "Version":
			m.version = v
		case "Provides-Extra":
			m.extras = append(m.extras, v)
		case "Requires-Dist":
			m.requires = append(m.requires, v)
		}
	}
	if m.name == "" || m.version == "" {
		return nil, errors.New("its metadata lacks name or version")
	}
	return m, nil
}

func (m *metadata) key() string { return pep508.NormalizeName(m.name) }

// bytes returns the file, changed only where something was added.
func (m *metadata) bytes() []byte {
	if len(m.added) == 0 {
		return append(append(bytes.Clone(m.head), "\n\n"...), m.body...)
	}
	head := oldVersion.ReplaceAll(m.head, []byte("Metadata-Version: 2.1"))
	return fmt.Appendf(nil, "%s\n%s\n\n%s", bytes.TrimRight(head, "\n"), strings.Join(m.added, "\n"), m.body)
}

// oldVersion is of metadata before extras and requirements: 1.x or 2.0.
var oldVersion = regexp.MustCompile(`(?m)^Metadata-Version: (1\.\d|2\.0)$`)

// restore adds the requirements of egg-info that has none in its metadata: from
// requires.txt, and, when the base ones were stripped, from Depends.
func (m *metadata) restore(requiresTxt []byte, depends []dependency, named map[string]string) {
	if len(m.requires) > 0 {
		return
	}
	var extras []string
	m.requires, extras = eggRequires(string(requiresTxt))
	m.from = "requires.txt"
	if !slices.ContainsFunc(m.requires, func(r string) bool { return !strings.Contains(r, "extra ==") }) {
		if base := fromDepends(depends, named, m.key()); len(base) > 0 {
			m.requires, m.from = append(base, m.requires...), "depends"
		}
	}
	for _, e := range extras {
		if !slices.Contains(m.extras, e) {
			m.added = append(m.added, "Provides-Extra: "+e)
		}
	}
	for _, r := range m.requires {
		m.added = append(m.added, "Requires-Dist: "+r)
	}
}

// eggRequires reads requires.txt of setuptools: requirements, then sections
// "[extra]", "[:marker]" or "[extra:marker]".
func eggRequires(text string) (requires, extras []string) {
	extra, marker := "", ""
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch section, isSection := strings.CutPrefix(line, "["); {
		case line == "" || strings.HasPrefix(line, "#"):
		case isSection:
			extra, marker, _ = strings.Cut(strings.TrimSuffix(section, "]"), ":")
			if extra != "" && !slices.Contains(extras, extra) {
				extras = append(extras, extra)
			}
		default:
			requires = append(requires, line+condition(extra, marker))
		}
	}
	return requires, extras
}

func condition(extra, marker string) string {
	var parts []string
	if strings.Contains(marker, " or ") {
		marker = "(" + marker + ")"
	}
	if marker != "" {
		parts = append(parts, marker)
	}
	if extra != "" {
		parts = append(parts, fmt.Sprintf("extra == %q", extra))
	}
	if len(parts) == 0 {
		return ""
	}
	return " ; " + strings.Join(parts, " and ")
}

// upstream is the part of a Debian version that the project gave, when it is a
// plain one: 3.0.2 of 1:3.0.2+dfsg-1.
var upstream = regexp.MustCompile(`^(?:\d+:)?(\d+(?:\.\d+)*)(?:[~+-].*)?$`)

// fromDepends maps Depends to project names, with lower bounds.
func fromDepends(depends []dependency, named map[string]string, self string) []string {
	var out []string
	for _, d := range depends {
		name, ok := named[d.name]
		if !ok || pep508.NormalizeName(name) == self {
			continue
		}
		if v := upstream.FindStringSubmatch(d.version); v != nil && slices.Contains([]string{">=", ">>", "="}, d.relation) {
			name += ">=" + v[1]
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
