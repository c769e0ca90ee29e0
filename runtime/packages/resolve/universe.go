package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/config/nearest"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/solver"
)

// universe is what the solver can choose from: an index, seen with the eyes of
// one interpreter. It implements solver.Provider.
type universe struct {
	r        *run
	policies map[string]*policy
	override map[string]ask
	before   time.Time // see policy
	ahead    *ahead
}

func newUniverse(r *run, c *index.Client, prefer map[string]pep440.Version) *universe {
	u := &universe{r: r, policies: r.policies(prefer), override: r.overrides()}
	if s := r.set.Wishes.Cooldown; s > 0 {
		u.before = r.Now().Add(-time.Duration(s) * time.Second)
	}
	u.ahead = newAhead(r.ctx, c, func(name, from string, files []index.File) *project {
		var p policy
		if known := u.policies[name]; known != nil {
			p = *known
		}
		p.before = u.before
		return newProject(name, from, files, r.py, &p)
	})
	return u
}

// close ends what is still being fetched.
func (u *universe) close() { u.ahead.close() }

// root is what the lines ask for.
func (u *universe) root() (out []solver.Dependency) {
	for _, a := range u.r.asks {
		switch req, by := u.instead(a.req); {
		case a.Override, by != nil && a.Constraint:
		case by != nil:
			for _, d := range dependencies(req, by.Place, false) {
				d.Text += " (override of " + orAny(a.Place) + ")"
				out = append(out, d)
			}
		default:
			out = append(out, dependencies(a.req, a.Place, a.Constraint)...)
		}
	}
	u.ahead.start(out)
	return out
}

// Candidates implements solver.Provider.
func (u *universe) Candidates(_ context.Context, pkg string) ([]solver.Candidate, error) {
	name, extra := splitExtra(pkg)
	if extra == "" {
		u.r.tell("resolving %s", name)
	}
	p, err := u.ahead.project(name)
	switch {
	case errors.Is(err, index.ErrNotFound):
		return nil, solver.UnusableError("not in " + strings.Join(u.r.set.Wishes.Roots(name), ", nor in "))
	case err != nil:
		return nil, err
	case len(p.candidates) == 0:
		return nil, solver.UnusableError(fmt.Sprintf("%s lists no file of it", p.index))
	}
	return p.candidates, nil
}

// Dependencies implements solver.Provider.
func (u *universe) Dependencies(_ context.Context, pkg string, v pep440.Version) ([]solver.Dependency, error) {
	name, extra := splitExtra(pkg)
	m, err := u.metadata(name, v)
	if err != nil {
		return nil, err
	}
	var out []solver.Dependency
	for _, d := range m.requires {
		if extra != "" && (d.Marker == nil || !d.Marker.UsesExtra()) {
			continue // the project itself asks for it
		}
		var applies bool
		if extra == "" {
			applies, err = d.Applies(u.r.py.Env)
		} else {
			applies, err = d.Applies(u.r.py.Env, extra)
		}
		switch {
		case err != nil:
			return nil, solver.UnusableError(fmt.Sprintf("its requirement %q makes no sense: %v", clip(d.String()), err))
		case applies && d.URL != "":
			return nil, solver.UnusableError(fmt.Sprintf("it needs %s from an address, and Blast installs from indexes", d.Name))
		case applies:
			req, by := u.instead(d)
			needs := dependencies(req, "", false)
			for i := range needs {
				if by != nil {
					needs[i].Text += " (overridden in " + by.Place + ")"
				}
			}
			out = append(out, needs...)
		}
	}
	u.ahead.start(out)
	return out, nil
}

// metadata returns a version's, if it is good for the interpreter.
func (u *universe) metadata(name string, v pep440.Version) (metadata, error) {
	p, err := u.ahead.project(name)
	if err != nil {
		return metadata{}, err
	}
	m, err := u.ahead.metadata(p.releases[key(v)].file)
	var bad *index.Error
	switch {
	case errors.Is(err, index.ErrBroken) && errors.As(err, &bad):
		return m, solver.UnusableError(bad.Reason)
	case err != nil:
		return m, err
	}
	if err := m.of(name, v); err != nil {
		return m, solver.UnusableError(err.Error())
	}
	if m.python != "" && !fitsPython(m.python, u.r.py) {
		return m, solver.UnusableError("it needs Python " + clip(m.python))
	}
	return m, nil
}

// lockFile writes down what was chosen.
func (u *universe) lockFile(chosen map[string]pep440.Version) (pylock.File, error) {
	f := pylock.File{RequiresPython: u.r.requiresPython(), Fit: u.r.fit()}
	for pkg, v := range chosen {
		if _, extra := splitExtra(pkg); extra != "" {
			continue
		}
		p, err := u.locked(pkg, v, chosen)
		if err != nil {
			return f, err
		}
		f.Packages = append(f.Packages, p)
	}
	slices.SortFunc(f.Packages, func(a, b pylock.Package) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

// unknownExtras warns of extras that a line asks for and the chosen version does
// not have. As for pip, that is no error: a later version may have lost one.
func (u *universe) unknownExtras(chosen map[string]pep440.Version) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range u.r.asks {
		name := a.req.Key()
		v, ok := chosen[name]
		if !ok || !a.Asks() {
			continue
		}
		m, err := u.metadata(name, v)
		if err != nil {
			continue // it was good enough to be chosen
		}
		for _, e := range a.req.Extras {
			needs, err := u.Dependencies(u.r.ctx, name+"["+normal(e)+"]", v)
			if err != nil || len(needs) > 0 || slices.Contains(m.extras, normal(e)) {
				continue
			}
			diags = append(diags, warning(block.RangeOf(a.Place), "Unknown extra",
				fmt.Sprintf("%s %s has no extra %q, so nothing is added for it.%s", name, v, e, nearest.Hint(normal(e), m.extras)))...)
		}
	}
	return diags
}

func (u *universe) locked(name string, v pep440.Version, chosen map[string]pep440.Version) (pylock.Package, error) {
	p, err := u.ahead.project(name)
	if err != nil {
		return pylock.Package{}, err
	}
	file := p.releases[key(v)].file
	out := pylock.Package{Name: name, Version: v.String(), RequiresPython: file.RequiresPython, Index: p.index,
		Wheels: []pylock.Wheel{{Name: file.Name, URL: file.URL, Size: file.Size, SHA256: file.SHA256}}}
	for _, a := range u.r.asks {
		if a.req.Key() != name || !a.Asks() {
			continue
		}
		out.Direct = true
		for _, e := range a.req.Extras {
			out.Extras = append(out.Extras, normal(e))
		}
	}
	slices.Sort(out.Extras)
	out.Extras = slices.Compact(out.Extras)
	for pkg := range chosen {
		if of, _ := splitExtra(pkg); of != name {
			continue
		}
		needs, err := u.Dependencies(u.r.ctx, pkg, v)
		if err != nil {
			return out, err
		}
		for _, d := range needs {
			if n, _ := splitExtra(d.Package); n != name {
				out.Dependencies = append(out.Dependencies, pylock.Dependency{Name: n})
			}
		}
	}
	slices.SortFunc(out.Dependencies, func(a, b pylock.Dependency) int { return strings.Compare(a.Name, b.Name) })
	out.Dependencies = slices.Compact(out.Dependencies)
	return out, nil
}
