package solver

import (
	"context"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
)

// Root is the package that stands for the project itself.
const Root = ""

// A Dependency asks for a package within a set of versions. An extra is a
// package of its own, "flask[async]", that always has the version of its
// project: who asks for it asks for the project, too.
type Dependency struct {
	Package string // "flask", or "flask[async]" for an extra
	Set     pep440.Ranges
	Text    string // as written: "flask>=3"
	Place   string // requirements.txt:1; "" if another project asks
	Limit   bool   // only bounds the version if something else asks for it
}

// A Candidate is one version that could be chosen. One that can't be used says why.
type Candidate struct {
	Version  pep440.Version
	Unusable string // "it needs Python >=3.12"
}

// A Provider knows the packages. Its methods may reach out to an index, and
// must give the same answer each time.
type Provider interface {
	// Candidates returns all versions, each once, the best first. An UnusableError
	// says why there is no such package; any other ends the search.
	Candidates(ctx context.Context, pkg string) ([]Candidate, error)
	// Dependencies returns what one version needs, for an extra without the
	// project itself. An UnusableError makes the version unusable; any other
	// ends the search.
	Dependencies(ctx context.Context, pkg string, v pep440.Version) ([]Dependency, error)
}

// UnusableError is why a version can't be chosen, found out only by looking into it.
type UnusableError string

func (u UnusableError) Error() string { return string(u) }

// project is the package that an extra belongs to, or pkg itself.
func project(pkg string) string {
	name, _, _ := strings.Cut(pkg, "[")
	return name
}
