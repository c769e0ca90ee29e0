package resolve

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/solver"
	"blast.example/blast/runtime/packages/tags"
)

// universe is what the solver can choose from: an index, seen with the eyes of
// one interpreter. It implements solver.Provider.
type universe struct {
	r      *run
	client *index.Client
	root   []solver.Dependency

	projects map[string]*project
	asked    map[string]pep508.Requirement // direct requirements by name, for extras and hashes
	hashes   map[string][]string           // the only files that may be used, by project
	named    map[string]bool               // projects of which a line names a pre-release
	pinned   map[string][]string           // versions that a line pins: yanked ones may be used
	prefer   map[string]string             // versions of the lock
}

// project is one project of the index.
type project struct {
	index      string
	candidates []solver.Candidate
	files      map[string]release // by version
}

// release is the file that would be installed of one version.
type release struct {
	file index.File
	deps []pep508.Requirement
	py   string
	read bool
}

func newUniverse(r *run, c *index.Client, lock *pylock.File) (*universe, hcl.Diagnostics) {
	u := &universe{r: r, client: c, projects: map[string]*project{}, asked: map[string]pep508.Requirement{}, hashes: map[string][]string{},
		named: map[string]bool{}, pinned: map[string][]string{}, prefer: map[string]string{}}
	if lock != nil && !r.in.Upgrade {
		for _, p := range lock.Packages {
			u.prefer[p.Name] = p.Version
		}
	}
	var diags hcl.Diagnostics
	for _, q := range r.set.Wishes.Requirements {
		if err := u.want(q); err != nil {
			diags = append(diags, problem(rangeOf(q.Place), "Invalid requirement", err.Error())...)
		}
	}
	return u, diags
}

// want takes in one line of a person.
func (u *universe) want(q packages.Requirement) error {
	req, err := pep508.Parse(q.Text)
	if err != nil {
		return err
	}
	if req.URL != "" {
		return fmt.Errorf("%s: requirements by URL are not supported yet; name a version of the index", q.Text)
	}
	applies, err := req.Applies(u.r.py.Env)
	if err != nil || !applies {
		return err
	}
	for _, h := range q.Hashes {
		u.hashes[req.Key()] = append(u.hashes[req.Key()], strings.TrimPrefix(strings.ToLower(h), "sha256:"))
	}
	u.note(req)
	if q.Constraint {
		return nil
	}
	u.asked[req.Key()] = req
	u.root = append(u.root, dependencies(req, q.Place)...)
	return nil
}

// note remembers what a requirement says about pre-releases and yanked versions.
func (u *universe) note(req pep508.Requirement) {
	if req.Specifiers.AllowsPrereleases() {
		u.named[req.Key()] = true
	}
	for _, s := range req.Specifiers {
		if s.Op == "==" || s.Op == "===" {
			u.pinned[req.Key()] = append(u.pinned[req.Key()], s.Version.String())
		}
	}
}

// dependencies turns a requirement into what the solver asks for: each extra is
// a package of its own, which needs the same version of the project.
func dependencies(req pep508.Requirement, place string) []solver.Dependency {
	set := req.Specifiers.Ranges()
	d := solver.Dependency{Package: req.Key(), Set: set, Text: req.String(), Place: place}
	out := []solver.Dependency{d}
	for _, e := range req.Extras {
		d.Package = req.Key() + "[" + pep508.NormalizeName(e) + "]"
		out = append(out, d)
	}
	return out
}

func splitExtra(pkg string) (name, extra string) {
	name, extra, _ = strings.Cut(pkg, "[")
	return name, strings.TrimSuffix(extra, "]")
}

// Candidates implements solver.Provider.
func (u *universe) Candidates(ctx context.Context, pkg string) ([]solver.Candidate, error) {
	name, _ := splitExtra(pkg)
	p, err := u.project(ctx, name)
	if errors.Is(err, index.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.candidates, nil
}

func (u *universe) project(ctx context.Context, name string) (*project, error) {
	if p := u.projects[name]; p != nil {
		return p, nil
	}
	if u.r.in.Progress != nil {
		u.r.in.Progress("resolving " + name)
	}
	files, from, err := u.client.Files(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &project{index: from, files: map[string]release{}}
	best := map[string]int{}
	why := map[string]string{}
	versions := map[string]pep440.Version{}
	for _, f := range files {
		u.sort(p, name, f, best, why, versions)
	}
	p.candidates = u.order(name, versions, p.files, why)
	u.projects[name] = p
	return p, nil
}

// sort decides whether a file is the one to install of its version.
func (u *universe) sort(p *project, name string, f index.File, best map[string]int, why map[string]string, versions map[string]pep440.Version) {
	w, err := tags.ParseWheelName(f.Name)
	if err != nil {
		if s, err := tags.ParseSdistName(f.Name); err == nil && pep508.NormalizeName(s.Name) == name {
			versions[s.Version.String()] = s.Version
			if why[s.Version.String()] == "" {
				why[s.Version.String()] = "only its source is there, and Blast installs wheels"
			}
		}
		return
	}
	if pep508.NormalizeName(w.Name) != name {
		return // an index that lists foreign files is wrong
	}
	v := w.Version.String()
	versions[v] = w.Version
	rank, reason := u.usable(name, f, w)
	if reason != "" {
		why[v] = reason
		return
	}
	if old, ok := best[v]; !ok || rank < old {
		best[v] = rank
		p.files[v] = release{file: f}
	}
}

// usable ranks a wheel, or says why it can't be used here.
func (u *universe) usable(name string, f index.File, w tags.WheelName) (int, string) {
	rank, ok := u.r.py.Tags.Rank(w.Tags)
	switch {
	case !ok:
		return 0, "no wheel for this interpreter and machine"
	case f.SHA256 == "":
		return 0, "the index gives no SHA-256"
	case f.Yanked != "" && !slices.Contains(u.pinned[name], w.Version.String()):
		return 0, "yanked: " + f.Yanked
	case len(u.hashes[name]) > 0 && !slices.Contains(u.hashes[name], f.SHA256):
		return 0, "its hash is not among those of the requirements"
	}
	if f.RequiresPython != "" {
		specs, err := pep440.ParseSpecifiers(f.RequiresPython)
		if err == nil && !specs.Contains(u.r.py.Version) {
			return 0, "needs Python " + f.RequiresPython
		}
	}
	return rank, ""
}

// order puts the best candidate first: the lock's, then the newest release, then
// pre-releases, which are there only if a line names one or nothing else is.
func (u *universe) order(name string, versions map[string]pep440.Version, files map[string]release, why map[string]string) []solver.Candidate {
	var out []solver.Candidate
	final := false
	for v := range files {
		final = final || !versions[v].IsPrerelease()
	}
	for text, v := range versions {
		c := solver.Candidate{Version: v}
		if _, ok := files[text]; !ok {
			c.Unusable = why[text]
		} else if v.IsPrerelease() && final && !u.named[name] && u.prefer[name] != text {
			c.Unusable = "a pre-release, which no line names"
		}
		out = append(out, c)
	}
	prefer := u.prefer[name]
	slices.SortFunc(out, func(a, b solver.Candidate) int {
		return cmp.Or(-b2i(a.Version.String() == prefer)+b2i(b.Version.String() == prefer), b.Version.Compare(a.Version))
	})
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Dependencies implements solver.Provider.
func (u *universe) Dependencies(ctx context.Context, pkg string, v pep440.Version) ([]solver.Dependency, error) {
	name, extra := splitExtra(pkg)
	p, err := u.project(ctx, name)
	if err != nil {
		return nil, err
	}
	rel, err := u.release(ctx, p, name, v)
	if err != nil {
		return nil, err
	}
	var out []solver.Dependency
	if extra != "" {
		out = append(out, solver.Dependency{Package: name, Set: pep440.Exactly(v), Text: fmt.Sprintf("%s==%s", name, v)})
	}
	for _, d := range rel.deps {
		var applies bool
		if extra == "" {
			applies, err = d.Applies(u.r.py.Env)
		} else if d.Marker != nil && d.Marker.UsesExtra() {
			applies, err = d.Applies(u.r.py.Env, extra)
		} else {
			continue // the project itself asks for it
		}
		if err != nil {
			return nil, solver.Unusable(fmt.Sprintf("its requirement %q makes no sense: %v", d, err))
		}
		if applies {
			u.note(d)
			out = append(out, dependencies(d, "")...)
		}
	}
	return out, nil
}

// release reads a version's metadata, once.
func (u *universe) release(ctx context.Context, p *project, name string, v pep440.Version) (release, error) {
	rel := p.files[v.String()]
	if rel.read {
		return rel, nil
	}
	b, err := u.client.Metadata(ctx, rel.file)
	if err != nil {
		return rel, err
	}
	rel.read = true
	if rel.deps, rel.py, err = requirements(b); err != nil {
		return rel, solver.Unusable(err.Error())
	}
	p.files[v.String()] = rel
	if rel.py != "" {
		if specs, err := pep440.ParseSpecifiers(rel.py); err == nil && !specs.Contains(u.r.py.Version) {
			return rel, solver.Unusable("needs Python " + rel.py)
		}
	}
	return rel, nil
}

// requirements reads Requires-Dist and Requires-Python of METADATA.
func requirements(b []byte) (deps []pep508.Requirement, python string, err error) {
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() && sc.Text() != "" {
		key, value, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "requires-python":
			python = value
		case "requires-dist":
			r, err := pep508.Parse(value)
			if err != nil {
				return nil, "", fmt.Errorf("its metadata has a requirement that can't be read: %w", err)
			}
			if r.URL != "" {
				return nil, "", fmt.Errorf("it needs %s from a URL", r.Name)
			}
			deps = append(deps, r)
		}
	}
	return deps, python, sc.Err()
}

// lockFile writes down what was chosen.
func (u *universe) lockFile(chosen map[string]pep440.Version, fit pylock.Fit) pylock.File {
	f := pylock.File{RequiresPython: u.r.requiresPython(), Fit: fit}
	for pkg, v := range chosen {
		name, extra := splitExtra(pkg)
		if extra != "" {
			continue
		}
		p := u.projects[name]
		rel := p.files[v.String()]
		_, direct := u.asked[name]
		lp := pylock.Package{Name: name, Version: v.String(), RequiresPython: rel.file.RequiresPython, Index: p.index, Direct: direct,
			Wheels: []pylock.Wheel{{Name: rel.file.Name, URL: rel.file.URL, Size: rel.file.Size, SHA256: rel.file.SHA256}}}
		if direct {
			for _, e := range u.asked[name].Extras {
				lp.Extras = append(lp.Extras, pep508.NormalizeName(e))
			}
			slices.Sort(lp.Extras)
		}
		for _, d := range rel.deps {
			if ok, err := d.Applies(u.r.py.Env); err == nil && ok {
				if _, there := chosen[d.Key()]; there {
					lp.Dependencies = append(lp.Dependencies, pylock.Dependency{Name: d.Key()})
				}
			}
		}
		slices.SortFunc(lp.Dependencies, func(a, b pylock.Dependency) int { return strings.Compare(a.Name, b.Name) })
		f.Packages = append(f.Packages, lp)
	}
	slices.SortFunc(f.Packages, func(a, b pylock.Package) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// bestWheel picks the wheel that fits the interpreter best.
func bestWheel(ws []pylock.Wheel, ranking tags.Ranking) (pylock.Wheel, bool) {
	best, found := 0, -1
	for i, w := range ws {
		n, err := tags.ParseWheelName(w.Name)
		if err != nil || w.Unusable != "" {
			continue
		}
		if rank, ok := ranking.Rank(n.Tags); ok && (found < 0 || rank < best) {
			best, found = rank, i
		}
	}
	if found < 0 {
		return pylock.Wheel{}, false
	}
	return ws[found], true
}
