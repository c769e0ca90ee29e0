package main

import (
	"context"
	"fmt"
	"os"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
)

type freezeCmd struct {
	Reason string `placeholder:"TEXT" help:"Why, for whoever finds it standing still."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// stillness is the answer of freeze and thaw, as --json prints it.
type stillness struct {
	Environment string      `json:"environment"`
	Frozen      bool        `json:"frozen"`
	Was         *state.Hold `json:"was,omitempty"` // what held it before
}

// Run lets all that runs in the environment stand still, until thaw.
func (cmd *freezeCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	c, env, err := u.running(g)
	if err != nil {
		return err
	}
	var res wire.HoldResult
	p := wire.HoldParams{Env: env, Hold: state.Hold{By: "blast freeze", Why: cmd.Reason}, Caller: caller("blast freeze")}
	if err := c.Call(ctx, wire.Hold, p, &res, u.event); err != nil {
		return err
	}
	u.untick()
	if cmd.JSON {
		return u.answer(stillness{env.Name, true, res.Was})
	}
	text := fmt.Sprintf("All commands in environment %s stand still. blast thaw lets them go on.\n", env.Name)
	if res.Was != nil {
		text = "Nothing to do: " + cell(res.Was.Tell(env.Name)) + ".\n"
	}
	return printAll(u.out, []byte(text))
}

// running is the environment that the working folder belongs to, and who looks after it.
func (u *ui) running(g *Globals) (*client.Client, state.Env, error) {
	env, err := u.locate(g)
	if err != nil {
		return nil, env, err
	}
	c, err := u.client()
	return c, env, err
}

// caller is this command, as others see it that it locks out.
func caller(command string) wire.Caller { return wire.Caller{Command: command, PID: os.Getpid()} }
