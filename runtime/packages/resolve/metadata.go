package resolve

import (
	"bytes"
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
)

// metadata is what METADATA says about a version's needs.
type metadata struct {
	name, version string
	python        string
	requires      []pep508.Requirement
	extras        []string // that it says it has
}

// maxRequires is how many requirements one version may have. The largest known
// have some hundreds, for extras.
const maxRequires = 5_000

// parseMetadata reads the head of a METADATA file (core metadata, in the format
// of e-mail headers).
func parseMetadata(b []byte) (metadata, error) {
	var m metadata
	for _, h := range headers(b) {
		switch h[0] {
		case "name":
			m.name = normal(h[1])
		case "version":
			m.version = h[1]
		case "requires-python":
			m.python = h[1]
		case "provides-extra":
			if m.extras = append(m.extras, normal(h[1])); len(m.extras) > maxRequires {
				return m, fmt.Errorf("its metadata has more than %d extras", maxRequires)
			}
		case "requires-dist":
			r, err := pep508.Parse(h[1])
			if err != nil {
				return m, fmt.Errorf("its metadata has a requirement that can't be read: %w", err)
			}
			if m.requires = append(m.requires, r); len(m.requires) > maxRequires {
				return m, fmt.Errorf("its metadata has more than %d requirements", maxRequires)
			}
		}
	}
	return m, nil
}

// headers are the fields before the first empty line: names in lower case, and
// values with the lines that continue them.
func headers(b []byte) (out [][2]string) {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		text := strings.TrimSuffix(string(line), "\r")
		if text == "" {
			break
		}
		if text[0] == ' ' || text[0] == '\t' {
			if n := len(out); n > 0 && strings.HasPrefix(out[n-1][0], "requires-") {
				out[n-1][1] += " " + strings.TrimSpace(text)
			}
			continue
		}
		if name, value, ok := strings.Cut(text, ":"); ok {
			out = append(out, [2]string{strings.ToLower(name), strings.TrimSpace(value)})
		}
	}
	return out
}

// of reports whether the metadata is that of a version of a project.
func (m metadata) of(name string, v pep440.Version) error {
	got, err := pep440.Parse(m.version)
	if m.name != name || err != nil || !got.Equal(v) {
		return fmt.Errorf("its metadata is of %q %q", clip(m.name), clip(m.version))
	}
	return nil
}
