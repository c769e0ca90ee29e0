package main

import (
	"context"
	"fmt"

	"blast.example/blast/runtime/daemon/wire"
)

type thawCmd struct {
	Force bool `help:"Also while the disk is still short of room: until half of what is left is gone."`
	JSON  bool `name:"json" help:"Print as JSON."`
}

// Run lets all go on that stands still, whoever stopped it.
func (cmd *thawCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	c, env, err := u.running(g)
	if err != nil {
		return err
	}
	var res wire.HoldResult
	if err := c.Call(ctx, wire.Release, wire.ReleaseParams{Env: env, Force: cmd.Force, Caller: caller("blast thaw")}, &res, u.event); err != nil {
		return err
	}
	u.untick()
	if cmd.JSON {
		return u.answer(stillness{env.Name, false, res.Was})
	}
	text := fmt.Sprintf("Nothing to do: environment %s runs.\n", env.Name)
	if res.Was != nil {
		text = fmt.Sprintf("All commands in environment %s go on; it stood still since %s, by %s.\n", env.Name, when(res.Was.Time), cell(res.Was.By))
	}
	return printAll(u.out, []byte(text))
}
