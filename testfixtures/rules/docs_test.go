package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	named   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	defined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	shown   = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// A threat model whose proofs are gone proves nothing.
func TestProofsExist(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range defined.FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	names := named.FindAllString(string(text), -1)
	for _, name := range names {
		if !there[name] {
			t.Errorf("docs/threat-model.md names %s, and there is no such test", name)
		}
	}
	if len(names) < 30 {
		t.Errorf("docs/threat-model.md names only %d tests", len(names))
	}
}

// What a document points to is there.
func TestLinksLeadSomewhere(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "../../README.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shown.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s points to %s: %v", doc, m[1], err)
			}
		}
	}
}

// What is borrowed has a reason, written down.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range required.FindAllStringSubmatch(string(mod), -1) {
		n++
		name := m[1]
		if rest, ok := strings.CutPrefix(name, "golang.org/x/"); ok {
			name = rest
		}
		if !strings.Contains(string(text), strings.TrimPrefix(name, "github.com/")) {
			t.Errorf("docs/DEPENDENCIES.md has no word about %s", m[1])
		}
	}
	if n < 10 {
		t.Errorf("only %d modules seen", n)
	}
}

// required are lines of go.mod about what is imported by name.
var required = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)
