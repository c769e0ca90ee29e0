//go:build linux

package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/process/secret/mask"
	"blast.example/blast/runtime/process/sitehook"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Gate implements kinds.Gater: it runs the checks of desired, one after the other in
// their order, and tells of all that failed.
func (Host) Gate(ctx context.Context, env state.Env, desired []plan.Object) error {
	checks := check.Of(desired)
	if len(checks) == 0 {
		return nil
	}
	r, err := enter(ctx, env)
	if err != nil {
		return fmt.Errorf("run checks: %w", err)
	}
	var failed []error
	for _, o := range checks {
		begun := time.Now()
		kinds.Progress(ctx, "check "+labelOf(o))
		err := r.try(ctx, o)
		if ctx.Err() != nil {
			return ctx.Err() // nobody waits for the rest
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		kinds.Passed(ctx, o.Addr, time.Since(begun))
	}
	return errors.Join(failed...)
}

func labelOf(o plan.Object) string { label, _ := check.Label(o.Addr); return label }

// A room is the sandbox that was applied, where checks run.
type room struct {
	box      *sandbox.Sandbox
	defaults command.Defaults
	vars     []string  // of each command: NAME=value
	secrets  mask.Mask // takes out of what is shown what is in there
	fresh    bool      // commands don't go there yet: all that runs in it is the checks' own
}

func enter(ctx context.Context, env state.Env) (*room, error) {
	d, err := command.LoadApplied(env)
	if err != nil {
		return nil, err
	}
	now, err := command.Load(env)
	if err != nil {
		return nil, err
	}
	if d.Socket == "" {
		return nil, errors.New("there is no sandbox")
	}
	box, err := sandbox.Load(ctx, env, sandbox.IDOfSocket(d.Socket))
	if err != nil {
		return nil, err
	}
	values := kinds.Secrets(ctx)
	r := &room{box: box, defaults: d, secrets: mask.Of(values), fresh: now.Socket != d.Socket}
	return r, r.furnish(values)
}

// furnish makes the variables that blast run would give a command, but for what is of
// the caller's terminal.
func (r *room) furnish(values map[string]secret.Value) error {
	vars := maps.Clone(r.defaults.Vars)
	for _, ref := range r.defaults.Secrets {
		v, ok := values[ref.Name]
		if !ok {
			return fmt.Errorf("secret %s has no value here", ref.Name)
		}
		vars[ref.Name] = v.Reveal()
	}
	vars[sitehook.Variable] = sitehook.Lead(vars[sitehook.Variable])
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		r.vars = append(r.vars, name+"="+vars[name])
	}
	return nil
}

// try runs one check. Its error is for a person.
func (r *room) try(ctx context.Context, o plan.Object) error {
	var c check.Check
	if err := o.Decode(&c); err != nil {
		return err
	}
	mark, err := newMark()
	if err != nil {
		return err
	}
	out, err := newOutput()
	if err != nil {
		return err
	}
	defer out.close()
	begun := time.Now()
	exit, err := r.run(ctx, c, mark, out)
	took := time.Since(begun)
	left := r.sweep(ctx, mark)
	v := verdict{name: labelOf(o), check: c, place: plan.PlaceOf(o.Src, ""), took: took, exit: exit, err: err, left: left, output: out.last().without(r.secrets)}
	return v.failure()
}

// errTime is why a check was ended whose time was over.
var errTime = errors.New("its time is over")

// run runs the command as blast run would.
func (r *room) run(ctx context.Context, c check.Check, mark string, out *output) (command.Exit, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errTime)
	defer cancel()
	return command.Await(ctx, r.defaults.Socket, command.Request{
		Args: c.Command, Env: append(slices.Clone(r.vars), mark), Dir: r.defaults.Dir, Rlimits: r.defaults.Rlimits,
		Stdout: out.in, Stderr: out.in, Deaf: true,
	})
}
