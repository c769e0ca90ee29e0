package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem/overlay"
)

// takeFlags are those of accept and discard.
type takeFlags struct {
	Paths         []string      `arg:"" optional:"" help:"Files and folders of the project; by default all."`
	AutoApprove   bool          `help:"Don't ask."`
	FreezeTimeout time.Duration `default:"30s" placeholder:"TIME" help:"For how long commands may stand still meanwhile; if it takes longer, nothing is done."`
	LockTimeout   time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	JSON          bool          `name:"json" help:"Print the result as JSON. Needs --auto-approve."`
}

type acceptCmd struct {
	takeFlags
	Force bool `help:"Also take what was changed in the project, too, and links that lead out of it."`
}

type discardCmd struct{ takeFlags }

// settled is the answer of accept and discard, as --json prints it.
type settled struct {
	Environment string           `json:"environment"`
	Changes     []overlay.Change `json:"changes"`
	Stay        int              `json:"stay"`
}

// Run makes what commands wrote over the project the project's own.
func (cmd *acceptCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	v, err := cmd.look(ctx, u, g, "blast accept")
	if err != nil || len(v.changes) == 0 {
		return err
	}
	if err := cmd.refuse(u, v.changes); err != nil {
		return err
	}
	return cmd.settle(ctx, u, v, wire.Take, cmd.Force, "accept", "Do you want the project to have these changes? It is then as commands left it.", "Accepted")
}

// refuse tells of all that can't be taken over.
func (cmd *acceptCmd) refuse(u *ui, cs []overlay.Change) error {
	var n int
	var forced bool
	for _, c := range cs {
		if why := c.Blocked(cmd.Force); why != "" {
			u.say("blast: %s %s", quoted(c.Path), why)
			n++
			forced = forced || c.Refused == ""
		}
	}
	if n == 0 {
		return nil
	}
	fix := "discard them, or name other paths"
	if forced {
		fix += ", or look at them and add --force"
	}
	return fmt.Errorf("%d of %d changes can't be accepted, and nothing was changed: %s", n, len(cs), fix)
}

// Run lets commands see the project as it is.
func (cmd *discardCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	v, err := cmd.look(ctx, u, g, "blast discard")
	if err != nil || len(v.changes) == 0 {
		return err
	}
	return cmd.settle(ctx, u, v, wire.Discard, false, "discard", "Do you want to drop these changes? They can't be brought back.", "Discarded")
}

// look lists the changes that are meant.
func (cmd *takeFlags) look(ctx context.Context, u *ui, g *Globals, command string) (*layerView, error) {
	if cmd.JSON && !cmd.AutoApprove {
		return nil, u.misused("--json needs --auto-approve: a question would be in the middle of it")
	}
	v, err := u.layerOf(ctx, g, wire.Caller{Command: command, PID: os.Getpid(), Wait: cmd.LockTimeout}, cmd.Paths, false)
	if err != nil {
		return nil, err
	}
	switch {
	case len(v.changes) > 0 && !cmd.JSON:
		err = printAll(u.out, []byte(list(v.changes, maxListed)+count(v.changes)+".\n"))
	case len(v.changes) == 0 && cmd.JSON:
		err = u.answer(settled{v.env.Name, []overlay.Change{}, 0})
	case len(v.changes) == 0:
		err = printAll(u.out, []byte("Nothing to do: there is no difference.\n"))
	}
	return v, err
}

// settle asks, and does it with exactly what was shown.
func (cmd *takeFlags) settle(ctx context.Context, u *ui, v *layerView, method string, force bool, verb, question, done string) error {
	if !cmd.AutoApprove {
		yes, err := u.confirm(ctx, question)
		if err != nil {
			return err
		}
		if !yes {
			return errors.New(verb + " cancelled: nothing was changed")
		}
	}
	u.talkOnInterrupt = true
	p := wire.TakeParams{Env: v.env, Paths: v.paths, Digest: overlay.Digest(v.changes), Force: force, Within: cmd.FreezeTimeout, Caller: v.by}
	var res wire.TakeResult
	if err := v.c.Call(ctx, method, p, &res, u.event); err != nil {
		return err
	}
	u.untick()
	if cmd.JSON {
		return u.answer(settled{v.env.Name, v.changes, res.Stay})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s. Commands stood still for %s.\n", done, count(v.changes), res.Frozen.Round(time.Millisecond))
	if res.Stay > 0 {
		fmt.Fprintf(&b, "%d of them stay in the layer as well, as a command is in their folder: what changes there on the host shows when the environment is up anew.\n", res.Stay)
	}
	return printAll(u.out, []byte(b.String()))
}
