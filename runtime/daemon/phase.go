package daemon

import (
	"os"
	"strings"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// phases is what one environment was at. While something goes on they are in memory, and
// a note has them when it begins and when it is over: what an apply costs is not for them.
type phases struct {
	all []state.Phase
}

// enter begins a phase, which ends the one before. The same again goes on.
func (e *Engine) enter(env state.Env, name, detail string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.phases[env.ID]
	if p == nil {
		p = &phases{env.Phases()}
		e.phases[env.ID] = p
	}
	now := time.Now().UTC()
	if n := len(p.all); n > 0 {
		last := &p.all[n-1]
		if last.Name == name && last.Detail == detail && last.Ended.IsZero() {
			return
		}
		if last.Ended.IsZero() {
			last.Ended = now
		}
	}
	p.all = append(p.all, state.Phase{Name: name, Begun: now, Detail: detail})
	p.all = p.all[max(0, len(p.all)-state.MaxPhases):]
}

// keepPhases notes them. They only tell, so a disk that is full is no reason to fail; of
// what is gone there is nothing to note.
func (e *Engine) keepPhases(env state.Env) {
	if _, err := os.Lstat(env.Run); err != nil {
		e.mu.Lock()
		delete(e.phases, env.ID)
		e.mu.Unlock()
		return
	}
	if err := env.KeepPhases(e.phasesOf(env)); err != nil {
		e.log.Warn("note phases", "env", env.ID, "err", err)
	}
}

// phasesOf are those of an environment until now.
func (e *Engine) phasesOf(env state.Env) []state.Phase {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.phases[env.ID]
	if p == nil {
		return env.Phases()
	}
	all := append([]state.Phase{}, p.all...)
	return all[max(0, len(all)-state.MaxPhases):]
}

// begin enters the first phase of carrying out a plan.
func (e *Engine) begin(p wire.ApplyParams) {
	name := state.Updating
	switch {
	case p.Plan.Mode == plan.Destroy:
		name = state.Cleanup
	case p.Plan.Serial == 0:
		name = state.Initializing
	}
	e.enter(p.Env, name, "")
	e.keepPhases(p.Env)
}

// over enters what an environment is when nothing is done to it.
func (e *Engine) over(env state.Env) {
	switch st, err := env.Load(); {
	case env.Held() != nil:
		e.enter(env, state.Frozen, "")
	case err == nil && len(st.Objects) > 0:
		e.enter(env, state.Active, "")
	}
	e.keepPhases(env)
}

// following enters phases as an apply tells of them.
func (e *Engine) following(p wire.ApplyParams, tell func(wire.Event)) func(wire.Event) {
	return func(ev wire.Event) {
		switch apply.Phase(ev.Phase) {
		case apply.Doing:
			if p.Plan.Mode != plan.Destroy {
				e.enter(p.Env, e.phaseOf(ev.Addr), "")
			}
		case apply.Failed:
			e.enter(p.Env, state.Failed, ev.Addr+": "+firstLine(ev.Message))
		case apply.Undoing:
			e.enter(p.Env, state.Cleanup, "")
		case apply.Gating: // see gate
		case apply.Done, apply.UndoneOne, apply.Committed:
		}
		tell(ev)
	}
}

// phaseOf is the phase in which an object is applied.
func (e *Engine) phaseOf(addr string) string {
	kind := plan.Object{Addr: addr}.Kind()
	if p, ok := e.hosts[kind].(kinds.Phaser); ok && p.Phase() != "" {
		return p.Phase()
	}
	return "configuring " + kind
}

// maxDetail bounds what a phase tells of a failure, in bytes.
const maxDetail = 200

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), maxDetail)]
}
