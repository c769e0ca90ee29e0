package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
	"blast.example/blast/state/backend/local"
)

type statePushCmd struct {
	File  string `arg:"" help:"A state that blast state pull printed; - is standard input."`
	Force bool   `help:"Also if it is of another lineage or environment, or older than what is recorded."`
	editFlags
}

// Run records another state. The environment stays what it is: its id and, if it has
// one, its lineage; the serial goes on.
func (cmd *statePushCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	pushed, err := cmd.read(u)
	if err != nil {
		return err
	}
	e, err := u.editing(ctx, env, cmd.editFlags, "blast state push")
	if err != nil {
		return err
	}
	if why := e.unfit(pushed); why != "" && !cmd.Force {
		return fmt.Errorf("%s: %s; nothing was changed (--force records it all the same)", cmd.File, why)
	}
	if err := e.showPush(pushed); err != nil {
		return err
	}
	if err := e.approve(ctx, fmt.Sprintf("Do you want environment %q to have these records? Nothing on the host changes.", env.Name)); err != nil {
		return err
	}
	s, err := e.carryOut(ctx, func() (state.Env, error) {
		_, err := env.Edit("push", func(s *state.State) error {
			s.Objects, s.Keep, s.Serial, s.Lineage = pushed.Objects, pushed.Keep, pushed.Serial, pushed.Lineage
			return nil
		})
		return env, err
	})
	if err != nil {
		return err
	}
	return e.tell(s, "Recorded %s.", plural(len(s.Objects), "object"))
}

// read reads the state strictly, and no more than a state may have.
func (cmd *statePushCmd) read(u *ui) (state.State, error) {
	in := u.stdin
	if cmd.File != "-" {
		f, err := os.OpenFile(cmd.File, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to is empty
		if err != nil {
			return state.State{}, fmt.Errorf("read state: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, local.MaxFile+1))
	if err == nil && len(b) > local.MaxFile {
		err = fmt.Errorf("it has more than %d MiB", local.MaxFile>>20)
	}
	if err != nil {
		return state.State{}, fmt.Errorf("read state: %w", err)
	}
	s, err := state.Decode(b)
	if err != nil {
		return s, fmt.Errorf("%s is no state that can be recorded: %w", cmd.File, err)
	}
	return s, known(s.Objects)
}

// known refuses objects of kinds that this Blast doesn't have: no plan could end them.
func known(objs []plan.Object) error {
	var errs []error
	for _, o := range objs {
		if !slices.Contains(words.Names(), o.Kind()) {
			errs = append(errs, fmt.Errorf("%s: this Blast has no kind %q", o.Addr, o.Kind()))
		}
	}
	return errors.Join(errs...)
}

// unfit says why a state is not one to follow what is recorded; "" if it is.
func (e *editing) unfit(s state.State) string {
	switch {
	case s.Env != e.env.Name:
		return fmt.Sprintf("it is of environment %q, not %q", s.Env, e.env.Name)
	case e.was.Lineage != "" && s.Lineage != e.was.Lineage:
		return fmt.Sprintf("it is of lineage %s, and what is recorded of %s: of an environment made apart from this one", s.Lineage, e.was.Lineage)
	case s.Serial < e.was.Serial:
		return fmt.Sprintf("it is generation %d, older than what is recorded, %d (blast rollback %d goes back, and changes the host, too)", s.Serial, e.was.Serial, s.Serial)
	}
	return ""
}

// showPush shows what the records will say otherwise.
func (e *editing) showPush(pushed state.State) error {
	if e.JSON {
		return nil
	}
	if err := printAll(e.u.out, []byte("The records change like this, and nothing on the host does:\n\n")); err != nil {
		return err
	}
	return e.u.showDifference(between(e.env.Name, e.was, pushed), false)
}
