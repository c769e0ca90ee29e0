package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// holdTime is how long the kernel may take to stop all processes.
const holdTime = 10 * time.Second

// Hold lets an environment stand still until it is released. One that does already stays
// as it is.
func (e *Engine) Hold(ctx context.Context, p wire.HoldParams, tell func(wire.Event)) (wire.HoldResult, error) {
	release, err := e.running(ctx, p.Env, p.Caller, tell)
	if err != nil {
		return wire.HoldResult{}, err
	}
	defer release()
	defer e.over(p.Env)
	was := p.Env.Held()
	if err := p.Env.Keep(p.Hold); err != nil { // first: who dies now leaves it said
		return wire.HoldResult{}, err
	}
	err = e.freezeAll(ctx, p.Env)
	if err != nil && was == nil {
		err = errors.Join(err, e.letGo(context.WithoutCancel(ctx), p.Env))
	}
	return wire.HoldResult{Was: was}, err
}

// freezeAll returns when nothing runs any more.
func (e *Engine) freezeAll(ctx context.Context, env state.Env) error {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	for name, h := range e.hosts {
		if f, ok := h.(kinds.Freezer); ok {
			if err := f.Freeze(ctx, env); err != nil {
				return fmt.Errorf("hold %s still: %w", name, err)
			}
		}
	}
	return nil
}

// letGo ends a hold.
func (e *Engine) letGo(ctx context.Context, env state.Env) error {
	if err := env.LetGo(); err != nil {
		return err
	}
	return e.thaw(ctx, env)
}

// Release lets an environment go on.
func (e *Engine) Release(ctx context.Context, p wire.ReleaseParams, tell func(wire.Event)) (wire.HoldResult, error) {
	release, err := e.running(ctx, p.Env, p.Caller, tell)
	if err != nil {
		return wire.HoldResult{}, err
	}
	defer release()
	defer e.over(p.Env)
	was := p.Env.Held()
	if was != nil {
		if err := e.doubt(ctx, p.Env, p.Force); err != nil {
			return wire.HoldResult{}, err
		}
	}
	return wire.HoldResult{Was: was}, e.letGo(context.WithoutCancel(ctx), p.Env)
}

// doubt is an error if what an environment was held for is still so.
func (e *Engine) doubt(ctx context.Context, env state.Env, force bool) error {
	for _, h := range e.hosts {
		d, ok := h.(kinds.Doubter)
		if !ok {
			continue
		}
		if err := d.Doubt(ctx, env, force); err != nil {
			return &wire.Error{Code: wire.CodeFailed, Message: fmt.Sprintf("environment %q would stand still again at once: %v", env.Name, err),
				Advice: "Free some space first; or let it go on with `blast thaw --force` until half of what is left is gone, so that commands can remove what they wrote."}
		}
		if s, ok := h.(kinds.Watcher); ok && force { // by what holds now
			if err := s.Sync(ctx, env); err != nil {
				return err
			}
		}
	}
	return nil
}

// Kill sends a signal to the commands of an environment. With SIGKILL they stand still
// until all have it, so that none starts another one, and a hold ends with them.
func (e *Engine) Kill(ctx context.Context, p wire.KillParams, tell func(wire.Event)) (wire.KillResult, error) {
	var none wire.KillResult
	release, err := e.running(ctx, p.Env, p.Caller, tell)
	if err != nil {
		return none, err
	}
	defer release()
	defer e.over(p.Env)
	res := wire.KillResult{Was: p.Env.Held()}
	last := p.Signal == syscall.SIGKILL
	switch {
	case res.Was != nil && !last:
		return none, &wire.Error{Code: wire.CodeFailed, Message: res.Was.Tell(p.Env.Name), Advice: "Its processes would see the signal only after `blast thaw`; SIGKILL ends them as they are."}
	case last:
		if err := e.freezeAll(ctx, p.Env); err != nil { // a bomb is chased then, for as long as that takes
			e.log.Info("kill without a freeze", "env", p.Env.ID, "err", err)
		}
		defer func() {
			if err := e.letGo(context.WithoutCancel(ctx), p.Env); err != nil {
				e.log.Error("let commands go on", "env", p.Env.ID, "err", err)
			}
		}()
	}
	for name, h := range e.hosts {
		k, ok := h.(kinds.Killer)
		if !ok {
			continue
		}
		n, err := k.Kill(ctx, p.Env, p.Signal)
		if res.Processes += n; err != nil {
			return res, fmt.Errorf("kill %s: %w", name, err)
		}
	}
	return res, nil
}

// running takes the turn of an environment of which something is there.
func (e *Engine) running(ctx context.Context, env state.Env, by wire.Caller, tell func(wire.Event)) (release func(), err error) {
	if _, err := os.Lstat(env.Run); err != nil {
		return nil, notUp(env)
	}
	if release, err = e.acquire(ctx, env, by, tell); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if _, err = e.recoverLocked(ctx, env, tell); err != nil {
		return nil, err
	}
	var v state.Vitals
	if err = e.measure(ctx, env, &v); err == nil && v.PID == 0 {
		err = notUp(env)
	}
	return release, err
}

func notUp(env state.Env) error {
	return fmt.Errorf("environment %q is not up: nothing runs in it", env.Name)
}

// held is an error for an environment that stands still.
func held(env state.Env) error {
	h := env.Held()
	if h == nil {
		return nil
	}
	return &wire.Error{Code: wire.CodeFailed, Message: h.Tell(env.Name), Advice: "Let it go on with `blast thaw`, end its commands with `blast kill`, or all of it with `blast destroy`; nothing was changed."}
}
