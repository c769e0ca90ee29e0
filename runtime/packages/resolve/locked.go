package resolve

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pylock"
)

// Locked is what a lock file says, for those who look and choose nothing.
type Locked struct {
	pylock.File
	Path   string                            // of the lock file, in the project
	Python packages.Interpreter              // that the environment gets
	Stale  string                            // why the lock is no answer to what is asked; "" if it is one
	Asked  map[string][]packages.Requirement // lines that ask for a project, by its name
}

// Locked reads the lock file. It asks no index, and only warns of a lock that doesn't
// fit any more.
func (rv Resolver) Locked(ctx context.Context, in kinds.ResolveInput) (*Locked, hcl.Diagnostics) {
	r, diags := rv.running(ctx, in)
	if diags.HasErrors() {
		return nil, diags
	}
	return r.locked()
}

// running finds the set among the objects, and what is asked for.
func (rv Resolver) running(ctx context.Context, in kinds.ResolveInput) (*run, hcl.Diagnostics) {
	for _, o := range in.Objects {
		if o.Addr != packages.SetAddr {
			continue
		}
		r, diags := rv.run(ctx, in, o)
		if diags.HasErrors() {
			return nil, diags
		}
		return r, r.ready()
	}
	return nil, problem(nil, "No packages", "The environment has no packages. Add a python block to blast.hcl.")
}

func (r *run) locked() (*Locked, hcl.Diagnostics) {
	file, _, diags := r.readLock()
	if diags.HasErrors() {
		return nil, diags
	}
	l := &Locked{Path: r.set.Wishes.LockPath, Python: r.set.Python, Asked: map[string][]packages.Requirement{}}
	for _, a := range r.asks {
		if a.Asks() {
			l.Asked[a.req.Key()] = append(l.Asked[a.req.Key()], a.Requirement)
		}
	}
	switch {
	case file == nil && len(l.Asked) == 0:
		return l, nil
	case file == nil:
		return nil, problem(r.firstPlace(), "No lock file", fmt.Sprintf("%s is not there: no versions were chosen yet. Write it with: blast lock", l.Path))
	}
	l.File = *file
	if file.Fit != r.fit() {
		l.Stale = "it was made for other requirements, another index or another Python"
	} else if _, why := r.fromLock(file); why != "" {
		l.Stale = why
	}
	return l, nil
}
