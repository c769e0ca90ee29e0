package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
)

// Monitor tells a record of an environment, from whichever kind keeps it. It takes
// no turn, so it sees what an apply that is under way does.
func (e *Engine) Monitor(ctx context.Context, p wire.MonitorParams, tell func(wire.Event)) error {
	for name, h := range e.hosts {
		m, ok := h.(kinds.Monitor)
		if !ok || !slices.Contains(m.Records(), p.Record) {
			continue
		}
		err := m.Monitor(ctx, p.Env, kinds.Asking{Record: p.Record, Follow: p.Follow}, func(line json.RawMessage) error {
			tell(wire.Event{Phase: wire.Reported, Line: line})
			return ctx.Err() // the reader has gone
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("monitor %s: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("there is no record of %q", p.Record)
}

// partTime is how long a reader that has gone, or that the daemon leaves, may take
// to read what was written for it.
const partTime = time.Second

// release ends a wait for a reader that doesn't read, shortly after ctx has ended,
// unless it is stopped before.
func release(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now().Add(partTime)) })
}
