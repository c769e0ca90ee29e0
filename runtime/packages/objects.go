// Package packages is the python and package blocks: which interpreter and
// which third-party projects an environment has.
package packages

import (
	"path"
	"slices"

	"blast.example/blast/runtime/packages/login"
)

// SetAddr is the address of the one object of this kind.
const SetAddr = "packages.set"

// VenvDir is where a sandbox sees its packages folder; VenvDir/current is the
// virtual environment (PEP 405).
const VenvDir = "/venv"

// Set is the attributes of packages.set: one generation of a virtual
// environment. Wishes are what a person wrote; the rest is what Resolve made of
// them, complete enough to install it again on another day.
type Set struct {
	Wishes   Wishes      `json:"wishes"`
	Python   Interpreter `json:"python"`
	Packages []Pinned    `json:"packages"` // sorted by name
	Lock     Lock        `json:"lock"`

	// Incarnation counts how often the set was asked to be made anew.
	Incarnation int `json:"incarnation,omitempty"`

	// Drift says how the generation differs from what was applied; it is never
	// set in what is wanted.
	Drift []string `json:"drift,omitempty"`
}

// Wishes are the python and package blocks and the manifest, as written.
type Wishes struct {
	Version      string        `json:"version,omitempty"` // PEP 440 specifier or prefix: "3.11", ">= 3.11"
	Index        []string      `json:"index,omitempty"`   // simple API roots (PEP 503)
	Registries   []Registry    `json:"registries,omitempty"`
	Logins       []login.Place `json:"logins,omitempty"`
	Manifest     string        `json:"manifest,omitempty"` // relative to the project
	LockPath     string        `json:"lock_path"`          // relative to the project
	Requirements []Requirement `json:"requirements,omitempty"`

	RequiresPython string `json:"requires_python,omitempty"` // of pyproject.toml, PEP 440 specifiers

	// Cooldown is how old a file must be to be chosen, in seconds since it was uploaded
	// (PEP 700); 0 takes any. What a line pins by == may be younger.
	Cooldown int64 `json:"cooldown,omitempty"`
}

// A Registry is an index of some projects: they come from nowhere else, and it is asked
// for nothing else.
type Registry struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`      // simple API root
	Packages []string `json:"packages"` // normalised names, or patterns with "*"
}

// Has reports whether a project, by its normalised name, comes from the registry.
func (r Registry) Has(project string) bool {
	return slices.ContainsFunc(r.Packages, func(p string) bool {
		ok, err := path.Match(p, project)
		return ok && err == nil
	})
}

// Roots are the indexes that are asked for a project, in their order.
func (w Wishes) Roots(project string) []string {
	for _, r := range w.Registries {
		if r.Has(project) {
			return []string{r.URL}
		}
	}
	return w.Index
}

// Indexes are all that may be asked.
func (w Wishes) Indexes() []string {
	out := slices.Clone(w.Index)
	for _, r := range w.Registries {
		out = append(out, r.URL)
	}
	return out
}

// Requirement is one line of a manifest or one package block.
type Requirement struct {
	Text  string `json:"text"`            // PEP 508
	Place string `json:"place,omitempty"` // requirements.txt:3; for the resolver, Link drops it

	Constraint bool     `json:"constraint,omitempty"` // "-c": limits the versions, but doesn't ask for the project
	Override   bool     `json:"override,omitempty"`   // takes the place of whatever asks for the project, and doesn't ask for it
	Hashes     []string `json:"hashes,omitempty"`     // "sha256:1234...": the only files that may be installed
}

// Asks reports whether the line asks for the project, and doesn't only say which
// versions are taken if something else does.
func (r Requirement) Asks() bool { return !r.Constraint && !r.Override }

// Interpreter is a Python of the host that sandboxes can see, too.
type Interpreter struct {
	Path    string `json:"path"`    // /usr/bin/python3.11
	Version string `json:"version"` // 3.11.2
	Tags    string `json:"tags"`    // digest of its compatibility tags and markers
}

// Pinned is one project at one version, in one wheel.
type Pinned struct {
	Name    string   `json:"name"` // normalised (PEP 503)
	Version string   `json:"version"`
	File    string   `json:"file"` // wheel file name
	URL     string   `json:"url"`
	SHA256  string   `json:"sha256"`
	Size    int64    `json:"size,omitempty"`
	Extras  []string `json:"extras,omitempty"`
	Direct  bool     `json:"direct,omitempty"` // asked for by a line, not by another project
}

// Lock is the lock file that goes with the set.
type Lock struct {
	Path    string `json:"path"`    // absolute
	Content string `json:"content"` // pylock.toml (PEP 751)
}
