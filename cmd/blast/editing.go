package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
)

// editFlags are the flags of verbs that change what is recorded by hand.
type editFlags struct {
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`
}

// An editing changes what is recorded of one environment.
type editing struct {
	editFlags
	u       *ui
	c       *client.Client
	env     state.Env
	was     state.State // what is recorded, as the person sees it
	command string      // "blast state rm"
}

// edited is what --json prints of it.
type edited struct {
	Environment string `json:"environment"`
	ID          string `json:"id"`
	Lineage     string `json:"lineage"`
	Serial      uint64 `json:"serial"`
}

// editing prepares an edit: what a dead apply left is finished or taken back first.
func (u *ui) editing(ctx context.Context, env state.Env, f editFlags, command string) (*editing, error) {
	c, err := u.client()
	if err != nil {
		return nil, err
	}
	e := &editing{editFlags: f, u: u, c: c, env: env, command: command}
	if err := e.settle(ctx); err != nil {
		return nil, err
	}
	e.was, err = env.Load()
	return e, err
}

// settle lets the daemon finish what a dead apply left, and tells it where the
// environment is.
func (e *editing) settle(ctx context.Context) error {
	var look wire.LookResult
	p := wire.LookParams{Env: e.env, Records: true, Caller: wire.Caller{Command: e.command, PID: os.Getpid(), Wait: e.LockTimeout}}
	if err := e.c.Call(ctx, wire.Look, p, &look, e.u.event); err != nil {
		return err
	}
	return busy(look)
}

// locked gives an error of the lock its exit code.
func locked(err error) error {
	if errors.Is(err, state.ErrLocked) {
		return &wire.Error{Code: wire.CodeLocked, Message: err.Error()}
	}
	return err
}

// approve asks whether to go on, after it was shown what changes.
func (e *editing) approve(ctx context.Context, question string) error {
	if e.AutoApprove {
		return nil
	}
	yes, err := e.u.confirm(ctx, question)
	if err == nil && !yes {
		err = errors.New("cancelled: nothing was changed")
	}
	return err
}

// carryOut makes the change under the environment's lock, if it is recorded still
// what was shown.
func (e *editing) carryOut(ctx context.Context, change func() (state.Env, error)) (state.State, error) {
	unlock, err := e.env.LockWithin(ctx, e.command, 0, e.LockTimeout)
	if err != nil {
		return state.State{}, locked(err)
	}
	defer unlock()
	now, err := e.env.Load()
	if err != nil {
		return state.State{}, err
	}
	if now.Serial != e.was.Serial || now.Lineage != e.was.Lineage {
		return state.State{}, &wire.Error{Code: wire.CodeStale, Message: fmt.Sprintf("generation %d was shown, and %d is recorded by now: nothing was changed; try again", e.was.Serial, now.Serial)}
	}
	env, err := change()
	if err != nil {
		return state.State{}, err
	}
	return env.Load()
}

// tell is the answer: JSON or a sentence.
func (e *editing) tell(s state.State, format string, args ...any) error {
	if e.JSON {
		return e.u.answer(edited{s.Env, s.ID, s.Lineage, s.Serial})
	}
	return printAll(e.u.out, fmt.Appendf(nil, format+"   Generation %d.\n", append(args, s.Serial)...))
}
