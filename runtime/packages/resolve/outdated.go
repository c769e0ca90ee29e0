package resolve

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/solver"
)

// An Age says what there is by now of a package of the lock.
type Age struct {
	Name   string `json:"name"`
	Locked string `json:"locked"`
	Fits   string `json:"fits"`   // what an upgrade of everything would choose; "" if that has no place for it
	Newest string `json:"newest"` // of the index, for this interpreter; "" if nothing can be used
	Direct bool   `json:"direct"` // a line asks for it
	// Asked are the lines that ask for it, which may be why Fits isn't Newest.
	Asked []packages.Requirement `json:"asked,omitempty"`
}

// Outdated reports whether there is something newer.
func (a Age) Outdated() bool {
	return a.Fits != a.Locked || a.Newest != "" && a.Newest != a.Locked && newer(a.Newest, a.Locked)
}

func newer(a, b string) bool {
	x, err1 := pep440.Parse(a)
	y, err2 := pep440.Parse(b)
	return err1 == nil && err2 == nil && x.Compare(y) > 0
}

// Ages asks the index what there is of each package of the lock.
func (rv Resolver) Ages(ctx context.Context, in kinds.ResolveInput) ([]Age, hcl.Diagnostics) {
	in.Upgrade = kinds.Upgrade{All: true}
	r, diags := rv.running(ctx, in)
	if diags.HasErrors() {
		return nil, diags
	}
	l, diags := r.locked()
	if diags.HasErrors() || len(l.Packages) == 0 {
		return nil, diags
	}
	if diags := r.allowedURLs(r.set.Wishes.Indexes()); diags.HasErrors() {
		return nil, diags
	}
	if diags := r.logIn(); diags.HasErrors() {
		return nil, diags
	}
	c := r.client()
	defer c.Close()
	u := newUniverse(r, c, nil)
	defer u.close()
	chosen, err := solver.Solve(ctx, u.root(), u)
	if err != nil {
		return nil, r.explain(err)
	}
	return u.ages(l, chosen)
}

func (u *universe) ages(l *Locked, chosen map[string]pep440.Version) ([]Age, hcl.Diagnostics) {
	var need []solver.Dependency
	for _, p := range l.Packages { // also of those that nothing would need any more
		need = append(need, solver.Dependency{Package: p.Name, Set: pep440.All()})
	}
	u.ahead.start(need)
	var out []Age
	for _, p := range l.Packages {
		a := Age{Name: p.Name, Locked: p.Version, Direct: len(l.Asked[p.Name]) > 0, Asked: l.Asked[p.Name]}
		if v, ok := chosen[p.Name]; ok {
			a.Fits = v.String()
		}
		pr, err := u.ahead.project(p.Name)
		switch {
		case errors.Is(err, index.ErrNotFound):
		case err != nil:
			return nil, u.r.explain(err)
		default:
			if v := pr.newest(); v != nil {
				a.Newest = v.String()
			}
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Age) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
