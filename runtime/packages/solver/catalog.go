package solver

import (
	"context"
	"errors"
	"slices"

	"blast.example/blast/runtime/packages/pep440"
)

// catalog remembers what the provider says about packages.
type catalog struct {
	p     Provider
	pages map[string]*page
}

// page is the versions of one package.
type page struct {
	list    []Candidate      // best first
	sorted  []pep440.Version // lowest first
	missing string           // why there is no such package

	counted, left int // the step that was last counted, and its count
}

func (c *catalog) page(ctx context.Context, pkg string) (*page, error) {
	if pg := c.pages[pkg]; pg != nil {
		return pg, nil
	}
	pg := &page{}
	list, err := c.p.Candidates(ctx, pkg)
	var no UnusableError
	switch {
	case errors.As(err, &no):
		pg.missing = string(no)
	case err != nil:
		return nil, err
	}
	pg.list = list
	for _, cand := range list {
		pg.sorted = append(pg.sorted, cand.Version)
	}
	slices.SortFunc(pg.sorted, pep440.Version.Compare)
	c.pages[pkg] = pg
	return pg, nil
}

// versions are a package's, lowest first, if it was ever looked at.
func (c *catalog) versions(pkg string) []pep440.Version {
	if pg := c.pages[pkg]; pg != nil {
		return pg.sorted
	}
	return nil
}

// count is how many usable versions are left after a step.
func (c *catalog) count(ctx context.Context, pkg string, last step) (int, error) {
	pg, err := c.page(ctx, pkg)
	if err != nil || pg.counted == last.serial {
		return pg.remaining(), err
	}
	pg.counted, pg.left = last.serial, 0
	for _, cand := range pg.list {
		if cand.Unusable == "" && last.joined.set.Contains(cand.Version) {
			pg.left++
		}
	}
	return pg.left, nil
}

func (pg *page) remaining() int {
	if pg == nil {
		return 0
	}
	return pg.left
}

// best is the first usable version in a set, else the first one.
func (pg *page) best(set pep440.Ranges) (Candidate, bool) {
	first, found := Candidate{}, false
	for _, c := range pg.list {
		if !set.Contains(c.Version) {
			continue
		}
		if c.Unusable == "" {
			return c, true
		}
		if !found {
			first, found = c, true
		}
	}
	return first, found
}

// cell is a version with the gaps around it, in which there is no other: cells
// of neighbours join to one interval, which says more than a list of versions.
func (pg *page) cell(v pep440.Version) pep440.Ranges {
	set := pep440.All()
	lo, _ := slices.BinarySearchFunc(pg.sorted, v, pep440.Version.Compare)
	if lo > 0 {
		below := pg.sorted[lo-1]
		set = from(below).Intersect(pep440.Exactly(below).Complement())
	}
	hi := lo
	for hi < len(pg.sorted) && pg.sorted[hi].Compare(v) == 0 {
		hi++
	}
	if hi < len(pg.sorted) {
		set = set.Intersect(from(pg.sorted[hi]).Complement())
	}
	return set
}

func from(v pep440.Version) pep440.Ranges {
	return pep440.Specifier{Op: pep440.GreaterOrEqual, Version: v}.Ranges()
}

// alike is the versions that can't be used for the same reason.
func (pg *page) alike(c Candidate) pep440.Ranges {
	set := pg.cell(c.Version)
	for _, o := range pg.list {
		if o.Unusable == c.Unusable {
			set = set.Union(pg.cell(o.Version))
		}
	}
	return set
}
