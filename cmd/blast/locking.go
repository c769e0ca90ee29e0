package main

import (
	"context"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages/resolve"
)

// locked reads what is asked for and what the lock file has. It needs no daemon, no
// index, and no rights but those to read the project.
func (u *ui) locked(ctx context.Context, g *Globals) (*project, *resolve.Locked, error) {
	p, err := u.open(g)
	if err != nil {
		return nil, nil, err
	}
	l, diags := resolve.Resolver{}.Locked(ctx, p.resolving(u))
	if diags.HasErrors() {
		return nil, nil, &configError{diags, p.file.Sources}
	}
	u.diagnostics(p.file.Sources, diags)
	return p, l, nil
}

// resolving is what a resolver works on where nothing is planned.
func (p *project) resolving(u *ui) kinds.ResolveInput {
	in := kinds.ResolveInput{Env: p.env, Project: p.env.Project, Objects: p.conf.Objects, Progress: u.tick}
	if st, err := p.env.Load(); err == nil { // others than root can't read it, and choose without
		in.Recorded = st.Objects
	}
	return in
}

// stale warns of a lock file that is no answer to what is asked.
func (u *ui) stale(l *resolve.Locked, g *Globals) {
	if l.Stale == "" {
		return
	}
	u.diagnostics(nil, hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "Lock file is not up to date",
		Detail: l.Path + ": " + l.Stale + ". Choose versions anew: " + blastCommand(g, "lock"),
	}})
}
