package pep508_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep508"
)

func TestParsePyproject(t *testing.T) {
	p, err := pep508.ParsePyproject([]byte(`[build-system]
requires = ["hatchling"]

[project]
name = "Demo"
requires-python = ">=3.8,<4"
dependencies = [
  "flask>=2",   # web
  'requests; python_version >= "3.8"',
]
optional-dependencies.Dev_Tools = ["pytest"]

[dependency-groups]
Test = ["coverage", {include-group = "lint_all"}]
"lint-all" = [
  "ruff",
]
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Demo" || p.RequiresPython.String() != "<4,>=3.8" {
		t.Errorf("%+v", p)
	}
	for name, c := range map[string]struct {
		got  []pep508.Line
		want []string
	}{
		"dependencies": {p.Dependencies, []string{"pyproject.toml:8 flask>=2", `pyproject.toml:9 requests; python_version >= "3.8"`}},
		"extra":        {p.Optional["dev-tools"], []string{"pyproject.toml:11 pytest"}},
		"group":        {p.Groups["test"], []string{"pyproject.toml:14 coverage", "pyproject.toml:16 ruff"}},
	} {
		got, _ := told(c.got, nil)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestPyprojectProblems(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "pyproject.toml: No [project] table",
		"[tool.poetry]\nname = 'x'":         "No [project] table",
		"[project\n":                        "pyproject.toml:1: Invalid TOML",
		"[project]\ndependencies = 3":       "pyproject.toml:2: Invalid TOML",
		"[project]\ndependencies = ['a b']": "pyproject.toml:2: Invalid requirement",
		"[project]\ndependencies = ['a @ file:/x']":                                     "Requirement by path or URL is not supported",
		"[project]\nrequires-python = '3.8'":                                            "pyproject.toml:2: Invalid requires-python",
		"[project]\ndynamic = ['dependencies']":                                         "Dependencies are dynamic",
		"[dependency-groups]\na = [3]":                                                  "Invalid dependency group",
		"[dependency-groups]\na = [{x = 'b'}]":                                          "Invalid dependency group",
		"[dependency-groups]\na = [{include-group = 'b'}]":                              "Unknown dependency group",
		"[dependency-groups]\na = [{include-group = 'b'}]\nb = [{include-group = 'A'}]": "a includes b includes a",
		"[dependency-groups]\na_b = []\na-b = []":                                       "Dependency group defined twice",
		"[dependency-groups]\na = ['x']\n" + doubling(30):                               "Dependency group too large",
	} {
		_, err := pep508.ParsePyproject([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	_, err := pep508.ParsePyproject([]byte("[project]\ndependencies = ['a b',\n'c d']"))
	if err == nil || !strings.Contains(err.Error(), ":2:") || !strings.Contains(err.Error(), ":3:") {
		t.Errorf("not both problems at once: %v", err)
	}
}

// doubling makes groups that each include the one before twice.
func doubling(n int) string {
	var b strings.Builder
	last := "a"
	for range n {
		next := last + "a"
		b.WriteString(next + " = [{include-group = '" + last + "'}, {include-group = '" + last + "'}]\n")
		last = next
	}
	return b.String()
}

func FuzzParsePyproject(f *testing.F) {
	f.Add([]byte("[project]\ndependencies = ['a', \"b\"]\n[dependency-groups]\nx = [{include-group='y'}]\ny = ['''z''']\n"))
	f.Add([]byte("project = {dependencies = ['a']}\n[[a]]\nb.c = [[1], {d = 'e'}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := pep508.ParsePyproject(data)
		if err != nil {
			return
		}
		for _, l := range p.Dependencies {
			if l.Number < 1 || l.Requirement.Name == "" {
				t.Errorf("%+v of %q", l, data)
			}
		}
	})
}
