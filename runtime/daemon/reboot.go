package daemon

import (
	"context"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// undoers are the owners for taking back what a dead process began in env. The claim
// that an apply makes before all else lies beside the kernel objects: without it a
// reboot has taken these, and nothing that stood on them can be brought back. What
// is on disk can; the next plan shows the rest as missing.
func (e *Engine) undoers(env state.Env) (apply.Owners, error) {
	there, err := env.Claimed()
	if there || err != nil {
		return e.owners(), err
	}
	o := apply.Owners{}
	for name, h := range e.hosts {
		o[name] = rebooted{h}
	}
	return o, nil
}

// rebooted is an owner after a reboot.
type rebooted struct{ kinds.Host }

var (
	_ apply.Committer = rebooted{}
	_ apply.Pruner    = rebooted{}
)

// Apply takes what is on disk to c.To. Of a kind that has nothing there it removes what
// may be left.
func (r rebooted) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if k, ok := r.Host.(kinds.Keeper); ok {
		return k.Restore(ctx, env, c)
	}
	return r.Host.Apply(ctx, env, plan.Change{Addr: c.Addr})
}

// Commit implements apply.Committer.
func (r rebooted) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	if k, ok := r.Host.(kinds.Committer); ok {
		return k.Commit(ctx, env, c)
	}
	return nil
}

// Prune implements apply.Pruner.
func (r rebooted) Prune(ctx context.Context, env state.Env) error {
	if k, ok := r.Host.(apply.Pruner); ok {
		return k.Prune(ctx, env)
	}
	return nil
}
