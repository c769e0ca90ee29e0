package main

import (
	"context"
	"encoding/json"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
)

// monitor has hear take in the lines of a record, until there are no more, hear returns an
// error, which is returned, or ctx ends. over tells the last two from the first.
func (u *ui) monitor(ctx context.Context, c *client.Client, p wire.MonitorParams, hear func(json.RawMessage) error) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var heard error
	err = c.Call(ctx, wire.Monitor, p, nil, func(ev wire.Event) {
		if ev.Phase != wire.Reported {
			u.event(ev)
		} else if heard == nil {
			if heard = hear(ev.Line); heard != nil {
				cancel()
			}
		}
	})
	if heard != nil {
		err = heard
	}
	return ctx.Err() != nil, err
}
