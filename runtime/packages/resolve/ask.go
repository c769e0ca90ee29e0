package resolve

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/solver"
)

// ask is a line of a person that counts for the interpreter.
type ask struct {
	packages.Requirement
	req pep508.Requirement
}

// readAsks reads the requirements, and leaves out what markers say doesn't apply.
func (r *run) readAsks() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, q := range r.set.Wishes.Requirements {
		req, err := pep508.Parse(q.Text)
		if err != nil {
			diags = append(diags, problem(block.RangeOf(q.Place), "Invalid requirement", err.Error())...)
			continue
		}
		if req.URL != "" {
			diags = append(diags, problem(block.RangeOf(q.Place), "Requirement by path or URL is not supported",
				req.Name+" is asked for from an address, and Blast installs wheels of a package index, by name. Write "+req.Name+" and a version.")...)
			continue
		}
		applies, err := req.Applies(r.py.Env)
		if err != nil {
			diags = append(diags, problem(block.RangeOf(q.Place), "Invalid marker", err.Error())...)
		}
		if applies {
			r.asks = append(r.asks, ask{q, req})
		}
	}
	return diags
}

// dependencies turns a requirement into what the solver asks for: each extra is
// a package of its own, which has the version of the project.
func dependencies(req pep508.Requirement, place string, limit bool) []solver.Dependency {
	set := req.Specifiers.Ranges()
	req.Marker = nil // it applies: that isn't news
	d := solver.Dependency{Package: req.Key(), Set: set, Text: req.String(), Place: place, Limit: limit}
	out := []solver.Dependency{d}
	for _, e := range req.Extras {
		if !limit {
			d.Package = req.Key() + "[" + pep508.NormalizeName(e) + "]"
			out = append(out, d)
		}
	}
	return out
}

func splitExtra(pkg string) (name, extra string) {
	name, extra, _ = strings.Cut(pkg, "[")
	return name, strings.TrimSuffix(extra, "]")
}

// policy is what the lines say about the files of one project.
type policy struct {
	hashes []string         // "sha256:1234...": the only files that may be used; none: any
	pinned []pep440.Version // by ==: may be yanked (PEP 592)
	prefer *pep440.Version  // of the lock: comes first, and may be yanked
	before time.Time        // a file must have been uploaded by then; zero: at any time
}

// overrides are the versions that are taken in place of what others ask for, by project.
func (r *run) overrides() map[string]ask {
	out := map[string]ask{}
	for _, a := range r.asks {
		if a.Override {
			out[a.req.Key()] = a
		}
	}
	return out
}

// instead is a requirement as the overrides have it, and the override; nil if there is none.
func (u *universe) instead(req pep508.Requirement) (pep508.Requirement, *ask) {
	o, there := u.override[req.Key()]
	if !there {
		return req, nil
	}
	req.Specifiers = o.req.Specifiers
	return req, &o
}

// policies collects what the asks say. Only a person's own line lets a yanked
// version in, not another project's.
func (r *run) policies(prefer map[string]pep440.Version) map[string]*policy {
	out := map[string]*policy{}
	of := func(name string) *policy {
		if out[name] == nil {
			out[name] = &policy{}
		}
		return out[name]
	}
	for _, a := range r.asks {
		p := of(a.req.Key())
		p.hashes = append(p.hashes, a.Hashes...)
		for _, s := range a.req.Specifiers {
			if (s.Op == pep440.Equal || s.Op == pep440.Arbitrary) && !s.Prefix && !s.Version.IsZero() {
				p.pinned = append(p.pinned, s.Version)
			}
		}
	}
	for name, v := range prefer {
		of(name).prefer = &v
	}
	return out
}

// preferred are the versions that are there: of the lock, or without one of the
// last apply, but for what is to be upgraded.
func (r *run) preferred(lock *pylock.File) map[string]pep440.Version {
	out := map[string]pep440.Version{}
	add := func(name, version string) {
		if v, err := pep440.Parse(version); err == nil && !r.in.Upgrade.Of(name) {
			out[name] = v
		}
	}
	if lock != nil {
		for _, p := range lock.Packages {
			add(p.Name, p.Version)
		}
		return out
	}
	for _, o := range r.in.Recorded {
		var set packages.Set
		if o.Addr != packages.SetAddr || o.Decode(&set) != nil {
			continue
		}
		for _, p := range set.Packages {
			add(p.Name, p.Version)
		}
	}
	return out
}
