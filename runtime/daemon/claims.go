package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// own makes sure that what is called by the environment's id is its own, and notes
// where its project is now. Whoever began to destroy it as an orphan is done with that
// first.
func (e *Engine) own(ctx context.Context, env state.Env, tell func(wire.Event)) error {
	if err := env.Renew(); err != nil {
		return err
	}
	o := env.Orphan()
	if env.Orphaned() {
		return nil
	}
	if _, err := os.Lstat(o.Dir); err != nil {
		return nil //nolint:nilerr // nobody did
	}
	if _, err := apply.Recover(context.WithoutCancel(ctx), o, e.owners(), forward(tell)); err != nil {
		return err
	}
	return o.Forget()
}

// claim notes whose is what an apply is about to make, before anything is made, so that
// a new daemon finds it. An orphan stays what it was noted as.
func claim(env state.Env, p plan.Plan, st state.State) error {
	if env.Orphaned() {
		return nil
	}
	var addrs []string
	for _, o := range slices.Concat(st.Objects, p.Desired) {
		addrs = append(addrs, o.Addr)
	}
	for _, s := range p.Steps {
		addrs = append(addrs, s.Addr)
	}
	slices.Sort(addrs)
	return env.Claim(p.Lineage, slices.Compact(addrs))
}

// Up lists the environments that have something on this host, where they are now.
func (e *Engine) Up() ([]state.Env, error) {
	claims, err := state.Claims()
	if err != nil {
		e.log.Error("unreadable environment", "err", err)
	}
	var envs []state.Env
	for _, c := range claims {
		env, _ := c.Now()
		envs = append(envs, env)
	}
	return envs, nil
}

// Survey tells of everything that is on this host, of whichever project, and what it
// takes.
func (e *Engine) Survey(ctx context.Context, p wire.SurveyParams) (wire.SurveyResult, error) {
	claims, err := state.Claims()
	if err != nil {
		e.log.Error("unreadable environment", "err", err)
	}
	res := wire.SurveyResult{Environments: []wire.Found{}}
	for _, c := range claims {
		if p.ID != "" && p.ID != c.ID {
			continue
		}
		f := wire.Found{Claim: c}
		f.Now, f.Orphan = c.Now()
		if err := e.measure(ctx, f.Now, &f.Vitals); err != nil {
			return res, err
		}
		res.Environments = append(res.Environments, f)
	}
	return res, nil
}

// measure asks every kind what an environment takes.
func (e *Engine) measure(ctx context.Context, env state.Env, v *state.Vitals) error {
	v.Held = env.Held()
	for name, h := range e.hosts {
		m, ok := h.(kinds.Measurer)
		if !ok {
			continue
		}
		if err := m.Measure(ctx, env, v); err != nil {
			return fmt.Errorf("measure %s of %s: %w", name, env.ID, err)
		}
	}
	return nil
}

// Adopt takes over what another daemon left running.
func (e *Engine) Adopt(ctx context.Context) {
	state.Sweep()
	envs, err := e.Up()
	if err != nil {
		e.log.Error("list environments", "err", err)
		return
	}
	for _, env := range envs {
		release, ok := e.turn(env).take(ctx)
		if !ok {
			return
		}
		e.adopt(ctx, env)
		release()
	}
}

func (e *Engine) adopt(ctx context.Context, env state.Env) {
	if err := e.thawLeft(ctx, env); err != nil {
		e.log.Error("let commands go on", "env", env.ID, "err", err)
	}
	for name, h := range e.hosts {
		w, ok := h.(kinds.Watcher)
		if !ok {
			continue
		}
		// What can't be watched stays shut: the next command says why.
		if err := w.Sync(ctx, env); err != nil {
			e.log.Error("adopt environment", "env", env.ID, "kind", name, "err", err)
		}
	}
	e.arm(env) //nolint:contextcheck // an alarm outlives the command
	switch {
	case env.Orphaned() && env.Dirty(): // no command of its project comes by to finish it
		if err := e.recoverOrphan(ctx, env); err != nil {
			e.log.Error("finish what a dead process left", "env", env.ID, "err", err)
		}
	case left(env) && !env.Dirty(): // or the daemon would stay for its sake
		if err := e.settle(ctx, env); err != nil {
			e.log.Error("remove what a dead process left", "env", env.ID, "err", err)
		}
	case env.Orphaned():
		if err := e.clear(ctx, env); err != nil {
			e.log.Error("remove what a dead process left", "env", env.ID, "err", err)
		}
	}
}

// clear ends an orphan of which nothing is to be seen: a process died before it had made
// the first thing or when it had removed the last one, and the daemon would stay for the
// claim's sake. What it was at only the claim tells.
func (e *Engine) clear(ctx context.Context, env state.Env) error {
	now, err := apply.Observe(ctx, env, e.owners())
	if err != nil || len(now) > 0 { // a person decides about that
		return err
	}
	unlock, err := env.Lock("blastd", 0)
	if errors.Is(err, state.ErrLocked) {
		return nil // somebody is at it
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := apply.Clear(context.WithoutCancel(ctx), env, env.Assumed(), e.owners()); err != nil {
		return err
	}
	return e.settle(ctx, env)
}

func (e *Engine) recoverOrphan(ctx context.Context, env state.Env) error {
	unlock, err := env.Lock("blastd", 0)
	if errors.Is(err, state.ErrLocked) {
		return nil // somebody is at it
	}
	if err != nil {
		return err
	}
	defer unlock()
	_, err = e.recoverLocked(ctx, env, func(wire.Event) {})
	return err
}
