package main

import (
	"slices"
	"strings"

	"blast.example/blast/plan"
)

// failFlags are what a plan may not have, as in CI.
type failFlags struct {
	FailOn []string `enum:"widen,destroy,replace,drift" placeholder:"KIND,..." help:"Exit with 21 if the plan widens access, destroys or replaces something, or finds drift: widen, destroy, replace, drift."`
}

// judge says what of the plan is not allowed, and ends the command if anything is.
func (f failFlags) judge(u *ui, p plan.Plan) error {
	var found []string
	for _, kind := range slices.Compact(slices.Sorted(slices.Values(f.FailOn))) {
		if what := offends(p, kind); len(what) > 0 {
			found = append(found, kind+" ("+strings.Join(what, ", ")+")")
		}
	}
	if len(found) == 0 {
		return nil
	}
	u.complain("not allowed here, by --fail-on: %s", strings.Join(found, "; "))
	return statusError{exitNotApproved}
}

// offends names what of the plan is of this kind.
func offends(p plan.Plan, kind string) []string {
	var out []string
	for _, s := range p.Steps {
		switch {
		case kind == "destroy" && s.Action == plan.Delete, kind == "replace" && s.Action == plan.Replace:
			out = append(out, s.Addr)
		case kind == "widen":
			for _, it := range s.Items {
				if it.Access == plan.Widen || it.Access == plan.Both {
					out = append(out, strings.TrimSpace(s.Kind()+" "+it.Name+" "+it.Place))
				}
			}
		}
	}
	if kind == "drift" {
		for _, s := range p.Drift {
			out = append(out, s.Addr)
		}
	}
	return out
}
