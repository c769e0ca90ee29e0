package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

func (e *Engine) layered() kinds.Layered {
	for _, h := range e.hosts {
		if l, ok := h.(kinds.Layered); ok {
			return l
		}
	}
	return nil
}

// locked runs work with the records of an environment, under its lock.
func (e *Engine) locked(ctx context.Context, env state.Env, by wire.Caller, tell func(wire.Event), work func(kinds.Layered, state.State) error) error {
	l := e.layered()
	if l == nil {
		return errors.New("no kind has a layer")
	}
	release, err := e.acquire(ctx, env, by, tell)
	if err != nil {
		return err
	}
	defer release()
	if _, err := e.recoverLocked(ctx, env, tell); err != nil {
		return err
	}
	st, err := env.Load()
	if err != nil {
		return err
	}
	return work(l, st)
}

// Changes lists what commands wrote over the project. They go on meanwhile: what is taken over
// later is compared with this list.
func (e *Engine) Changes(ctx context.Context, p wire.ChangesParams, tell func(wire.Event)) (res wire.ChangesResult, err error) {
	err = e.locked(ctx, p.Env, p.Caller, tell, func(l kinds.Layered, st state.State) error {
		all, err := l.Changes(ctx, p.Env, st.Objects, p.Content)
		res.Changes, res.None = overlay.Select(all, p.Paths)
		return err
	})
	return res, err
}

// Take makes what commands wrote the project's own.
func (e *Engine) Take(ctx context.Context, p wire.TakeParams, tell func(wire.Event)) (wire.TakeResult, error) {
	return e.settleLayer(ctx, p, tell, func(ctx context.Context, l kinds.Layered, st state.State, choose kinds.Choose) (int, error) {
		return l.Take(ctx, p.Env, st.Objects, func(all []overlay.Change) ([]overlay.Change, error) {
			chosen, err := choose(all)
			if err != nil {
				return nil, err
			}
			return chosen, blocked(chosen, p.Force)
		})
	})
}

// Discard lets commands see the project again.
func (e *Engine) Discard(ctx context.Context, p wire.TakeParams, tell func(wire.Event)) (wire.TakeResult, error) {
	return e.settleLayer(ctx, p, tell, func(ctx context.Context, l kinds.Layered, st state.State, choose kinds.Choose) (int, error) {
		return l.Discard(ctx, p.Env, st.Objects, choose)
	})
}

type settling func(context.Context, kinds.Layered, state.State, kinds.Choose) (stay int, err error)

// settleLayer does something with the changes that were shown, while nothing runs.
func (e *Engine) settleLayer(ctx context.Context, p wire.TakeParams, tell func(wire.Event), do settling) (res wire.TakeResult, err error) {
	choose := func(all []overlay.Change) ([]overlay.Change, error) {
		chosen, _ := overlay.Select(all, p.Paths)
		if overlay.Digest(chosen) != p.Digest {
			return nil, &wire.Error{Code: wire.CodeStale, Message: "what commands have written is not what was shown any more: look at it again"}
		}
		res.Changes = len(chosen)
		return chosen, nil
	}
	err = e.locked(ctx, p.Env, p.Caller, tell, func(l kinds.Layered, st state.State) error {
		begun := time.Now()
		err := e.freeze(ctx, p.Env, p.Within, func(ctx context.Context) (err error) {
			res.Stay, err = do(ctx, l, st, choose)
			return err
		})
		res.Frozen = time.Since(begun)
		return err
	})
	return res, err
}

// blocked says what of the changes is not to be taken over.
func blocked(chosen []overlay.Change, force bool) error {
	for _, c := range chosen {
		if why := c.Blocked(force); why != "" {
			return fmt.Errorf("%q %s: nothing was changed", c.Path, why)
		}
	}
	return nil
}

// takeOn goes on with what a dead process was taking over.
func (e *Engine) takeOn(ctx context.Context, env state.Env) error {
	l := e.layered()
	if l == nil || !l.Half(env) {
		return nil
	}
	st, err := env.Load()
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	e.log.Warn("an accept was cut off", "env", env.ID)
	return e.freeze(ctx, env, holdTime, func(ctx context.Context) error { return l.Recover(ctx, env, st.Objects) })
}
