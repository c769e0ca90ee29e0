package main

import (
	"context"
	"syscall"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// wrap puts a crasher around all that a host does. The engine asks a host what it can
// do by its methods, so these must be the same. Most of them may be there in vain: what
// the host can't do is then nothing to be done. A Keeper and a Copier are looked for.
func wrap(h kinds.Host, c around) kinds.Host {
	s := struck{h, c}
	_, copies := h.(kinds.Copier)
	_, keeps := h.(kinds.Keeper)
	switch {
	case copies && keeps:
		return copying{keeping{s}}
	case keeps:
		return keeping{s}
	case copies:
		panic("a kind that copies and doesn't keep: there was none when this was written")
	}
	return s
}

// struck has each optional interface that a kind may have in vain.
type struck struct {
	kinds.Host
	around around
}

// strike does work with what the host is, too, and may die before or after that. What
// it is not is not counted.
func strike[T any](s struck, verb string, work func(T) error) error {
	h, ok := s.Host.(T)
	if !ok {
		return nil
	}
	return s.around(verb, func() error { return work(h) })
}

// ask is strike for what changes nothing.
func ask[T any](s struck, work func(T) error) error {
	h, ok := s.Host.(T)
	if !ok {
		return nil
	}
	return work(h)
}

func (s struck) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	return strike(s, "apply", func(h kinds.Host) error { return h.Apply(ctx, env, c) })
}

func (s struck) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	return strike(s, "commit", func(h kinds.Committer) error { return h.Commit(ctx, env, c) })
}

func (s struck) Prune(ctx context.Context, env state.Env) error {
	return strike(s, "prune", func(h apply.Pruner) error { return h.Prune(ctx, env) })
}

func (s struck) Gate(ctx context.Context, env state.Env, desired []plan.Object) error {
	return strike(s, "gate", func(h kinds.Gater) error { return h.Gate(ctx, env, desired) })
}

func (s struck) Freeze(ctx context.Context, env state.Env) error {
	return strike(s, "freeze", func(h kinds.Freezer) error { return h.Freeze(ctx, env) })
}

func (s struck) Thaw(ctx context.Context, env state.Env) error {
	return strike(s, "thaw", func(h kinds.Thawer) error { return h.Thaw(ctx, env) })
}

func (s struck) Sync(ctx context.Context, env state.Env) error {
	return ask(s, func(h kinds.Watcher) error { return h.Sync(ctx, env) })
}

func (s struck) Close() error {
	return ask(s, func(h kinds.Watcher) error { return h.Close() })
}

func (s struck) Flush(ctx context.Context, env state.Env) error {
	return ask(s, func(h kinds.Flusher) error { return h.Flush(ctx, env) })
}

func (s struck) Witness(ctx context.Context, env state.Env) (known map[string]string, err error) {
	err = ask(s, func(h kinds.Witness) error { known, err = h.Witness(ctx, env); return err })
	return known, err
}

func (s struck) Measure(ctx context.Context, env state.Env, v *state.Vitals) error {
	return ask(s, func(h kinds.Measurer) error { return h.Measure(ctx, env, v) })
}

func (s struck) Kill(ctx context.Context, env state.Env, sig syscall.Signal) (n int, err error) {
	err = ask(s, func(h kinds.Killer) error { n, err = h.Kill(ctx, env, sig); return err })
	return n, err
}

func (s struck) Expiry(env state.Env) (t time.Time, err error) {
	err = ask(s, func(h kinds.Expirer) error { t, err = h.Expiry(env); return err })
	return t, err
}

func (s struck) Phase() string {
	if p, ok := s.Host.(kinds.Phaser); ok {
		return p.Phase()
	}
	return ""
}

func (s struck) Check(ctx context.Context, env state.Env, desired []plan.Object) (ps []kinds.Problem, err error) {
	err = ask(s, func(h kinds.Checker) error { ps, err = h.Check(ctx, env, desired); return err })
	return ps, err
}

// keeping is a host that is a Keeper.
type keeping struct{ struck }

func (k keeping) Restore(ctx context.Context, env state.Env, c plan.Change) error {
	return strike(k.struck, "restore", func(h kinds.Keeper) error { return h.Restore(ctx, env, c) })
}

// copying is a host that is a Copier.
type copying struct{ keeping }

func (k copying) Ready(ctx context.Context, env state.Env) error {
	return strike(k.struck, "ready", func(h kinds.Copier) error { return h.Ready(ctx, env) })
}

func (k copying) Copy(ctx context.Context, env state.Env) (c kinds.Copy, err error) {
	err = strike(k.struck, "copy", func(h kinds.Copier) error { c, err = h.Copy(ctx, env); return err })
	return c, err
}
