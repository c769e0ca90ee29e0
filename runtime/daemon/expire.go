package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// A clock may be set, and stands still while the machine sleeps: it is looked at so often.
const glance = time.Minute

// expiry is when an environment is to be destroyed; the zero time is never. What can't be
// read ends nothing.
func (e *Engine) expiry(env state.Env) time.Time {
	var first time.Time
	for name, h := range e.hosts {
		x, ok := h.(kinds.Expirer)
		if !ok {
			continue
		}
		t, err := x.Expiry(env)
		if err != nil {
			e.log.Error("time to live", "env", env.ID, "kind", name, "err", err)
		}
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func (e *Engine) overdue(env state.Env) bool {
	t := e.expiry(env)
	return !t.IsZero() && !time.Now().Before(t.Round(0)) // by the clock on the wall
}

// arm sees to it that an environment is destroyed when its time is over.
func (e *Engine) arm(env state.Env) {
	t := e.expiry(env)
	e.mu.Lock()
	defer e.mu.Unlock()
	if timer := e.alarms[env.ID]; timer != nil {
		timer.Stop()
		delete(e.alarms, env.ID)
	}
	if t.IsZero() || e.closed {
		return
	}
	wait := min(max(time.Until(t.Round(0)), 0), glance)
	e.alarms[env.ID] = time.AfterFunc(wait, func() {
		now := env.Follow()
		if !e.overdue(now) {
			e.arm(now)
			return
		}
		if err := e.expire(context.Background(), now, func(wire.Event) {}); err != nil {
			e.log.Error("destroy environment, as its time is over", "env", env.ID, "err", err)
			e.later(env)
		}
	})
}

// later tries once more what another command or a host in trouble kept from happening.
func (e *Engine) later(env state.Env) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.alarms[env.ID] = time.AfterFunc(glance, func() { e.arm(env.Follow()) })
	}
}

// disarm ends all alarms of this process.
func (e *Engine) disarm() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, timer := range e.alarms {
		timer.Stop()
	}
}

// expire destroys an environment whose time is over, as blast destroy does.
func (e *Engine) expire(ctx context.Context, env state.Env, tell func(wire.Event)) error {
	by := wire.Caller{Command: "blastd, as the ttl is over", PID: os.Getpid()}
	look, err := e.look(ctx, wire.LookParams{Env: env, Caller: by}, tell)
	if err != nil {
		return err
	}
	if look.Busy != nil {
		return fmt.Errorf("%v changes it", look.Busy)
	}
	p := plan.Diff(nil, look.Recorded, look.Observed, nil)
	p.Env, p.Lineage, p.Serial = env.Name, look.Lineage, look.Serial
	p.For(plan.Destroy, "")
	e.log.Info("destroy environment, as its time is over", "env", env.ID, "project", env.Project)
	_, err = e.Apply(ctx, ctx, wire.ApplyParams{Env: env, Plan: p, Caller: by}, tell)
	if err == nil {
		tell(wire.Event{Phase: "recovered", Message: "the time of environment " + env.Name + " was over: destroyed, as its ttl says"})
	}
	return err
}
