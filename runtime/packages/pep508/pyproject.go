package pep508

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"blast.example/blast/runtime/packages/pep440"
)

// PyprojectName is the file's name, which places begin with.
const PyprojectName = "pyproject.toml"

// Pyproject is what pyproject.toml says about the packages that a project needs.
type Pyproject struct {
	Name           string
	RequiresPython pep440.Specifiers
	Dependencies   []Line            // [project] dependencies
	Optional       map[string][]Line // [project.optional-dependencies], by normalised name
	Groups         map[string][]Line // [dependency-groups] (PEP 735), by normalised name, includes followed
}

// pyprojectFile is the part of the file that is read.
type pyprojectFile struct {
	Project *struct {
		Name           string              `toml:"name"`
		RequiresPython string              `toml:"requires-python"`
		Dependencies   []string            `toml:"dependencies"`
		Optional       map[string][]string `toml:"optional-dependencies"`
		Dynamic        []string            `toml:"dynamic"`
	} `toml:"project"`
	Groups map[string][]any `toml:"dependency-groups"`
}

// ParsePyproject reads the [project] table and the dependency groups. It
// reports everything that is wrong at once, as joined ProblemErrors.
func ParsePyproject(data []byte) (Pyproject, error) {
	var f pyprojectFile
	if len(data) > maxFile {
		return Pyproject{}, ProblemError{newProblem(PyprojectName, 0, "File too large", "The file has %d bytes; at most %d are read.", len(data), maxFile)}
	}
	if err := toml.Unmarshal(data, &f); err != nil {
		return Pyproject{}, tomlProblem(err)
	}
	r := &pyprojectReader{lines: stringLines(data)}
	p := r.read(f)
	return p, errors.Join(r.problems...)
}

func tomlProblem(err error) error {
	p := Problem{File: PyprojectName, Summary: "Invalid TOML", Detail: sentence(err) + "."}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		p.Number, _ = at.Position()
	}
	return ProblemError{p}
}

// pyprojectReader turns texts into requirements.
type pyprojectReader struct {
	lines    map[string][]int // lines of the strings of an array, by dotted key
	problems []error
}

func (r *pyprojectReader) read(f pyprojectFile) Pyproject {
	p := Pyproject{Optional: map[string][]Line{}}
	if f.Project == nil && f.Groups == nil {
		r.problem(0, "No [project] table", "The file has no [project] table that says what the project needs (PEP 621). Add one with dependencies = [...], or use a requirements.txt.")
		return p
	}
	if pr := f.Project; pr != nil {
		p.Name = pr.Name
		r.project(&p, pr.RequiresPython, pr.Dependencies, pr.Dynamic)
		for _, extra := range slices.Sorted(maps.Keys(pr.Optional)) {
			p.Optional[NormalizeName(extra)] = r.requirements(key("project", "optional-dependencies", extra), pr.Optional[extra])
		}
	}
	p.Groups = (&groupReader{r, f.Groups, map[string][]Line{}, nil}).all()
	return p
}

func (r *pyprojectReader) project(p *Pyproject, requiresPython string, dependencies, dynamic []string) {
	if slices.Contains(dynamic, "dependencies") {
		r.problem(0, "Dependencies are dynamic", `[project] says dynamic = ["dependencies"]: only the project's build could tell them. Write them as dependencies = [...], or name a requirements.txt as the manifest.`)
	}
	ss, err := pep440.ParseSpecifiers(requiresPython)
	if err != nil {
		r.problem(r.line(key("project", "requires-python"), 0), "Invalid requires-python", "%s.", sentence(err))
	}
	p.RequiresPython = ss
	p.Dependencies = r.requirements(key("project", "dependencies"), dependencies)
}

func (r *pyprojectReader) requirements(array string, texts []string) []Line {
	var out []Line
	for i, text := range texts {
		if l, ok := r.requirement(r.line(array, i), text); ok {
			out = append(out, l)
		}
	}
	return out
}

func (r *pyprojectReader) requirement(number int, text string) (Line, bool) {
	req, err := Parse(text)
	switch {
	case err != nil:
		r.problem(number, "Invalid requirement", "%s.", sentence(err))
		return Line{}, false
	case req.URL != "":
		r.problem(number, "Requirement by path or URL is not supported", "%q comes from an address; Blast installs wheels from a package index, by name. Write %s and a version.", text, req.Name)
		return Line{}, false
	}
	return Line{Requirement: req, Text: strings.TrimSpace(text), File: PyprojectName, Number: number}, true
}

func (r *pyprojectReader) line(array string, i int) int {
	if at := r.lines[array]; i < len(at) {
		return at[i]
	}
	return 0
}

func (r *pyprojectReader) problem(number int, summary, format string, args ...any) {
	r.problems = append(r.problems, ProblemError{newProblem(PyprojectName, number, summary, format, args...)})
}
