package gate

import (
	"fmt"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/relay"
	"blast.example/blast/state"
)

// usageNote keeps what rules have used of their quotas over a restart of the daemon.
const usageNote = "quotas"

// usage is the note as a meter.Store.
type usage struct{ env state.Env }

func (u usage) Load() (map[string]meter.Used, error) {
	var all map[string]meter.Used
	_, err := u.env.ReadNote(usageNote, &all)
	return all, err
}

// Save leaves no note where nothing was used: then none is as good.
func (u usage) Save(all map[string]meter.Used) error {
	if len(all) == 0 {
		return u.env.DropNote(usageNote)
	}
	return u.env.WriteNote(usageNote, all)
}

// follow goes by another policy in all.
func (g *gate) follow(p policy) {
	g.use(p)
	g.settle(p.Ingress)
	g.meters.Drop(p.Policy)
}

func (g *gate) closeMeters() {
	if err := g.meters.Close(); err != nil {
		g.log.Error("save what quotas have used", "env", g.env.ID, "err", err)
	}
}

// unmeasured tells of rules that are closed, as it is not known what they have used.
func (g *gate) unmeasured(p network.Policy) []string {
	if g == nil || g.meters.Lost() == nil {
		return nil
	}
	var found []string
	for _, e := range p.Egress {
		if e.Quota != (network.Quota{}) {
			found = append(found, fmt.Sprintf("egress %q is closed, and its quota begins anew: what was used can't be read: %v", e.Name, g.meters.Lost()))
		}
	}
	return found
}

// forget drops what rules have used that are gone for good.
func (h *Host) forget(env state.Env) {
	if g := h.running(env); g != nil {
		g.meters.Forget()
	}
}

// Limits tells what the limits of an environment did since its gate was started, by
// this daemon; nothing if it has none. It comes first, then its rules by name.
func (h *Host) Limits(env state.Env) []meter.Count {
	if g := h.running(env); g != nil {
		return g.meters.Snapshot()
	}
	return nil
}

// Descriptors of the daemon.
const (
	perConnection = 2                                     // its sockets
	forTheRest    = 384 + 2*relay.Pipes + relay.Undecided // names, files, other environments
)

// tooMany says which line allows more connections than the daemon can have open.
func tooMany(want network.Policy) (kinds.Problem, bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return kinds.Problem{}, false
	}
	return tooManyFor(want, l.Cur)
}

func tooManyFor(want network.Policy, files uint64) (kinds.Problem, bool) {
	most := 0
	if files > forTheRest {
		most = int(min((files-forTheRest)/perConnection, network.MaxOpen))
	}
	if want.Connections.Max <= most {
		return kinds.Problem{}, false
	}
	return kinds.Problem{
		Addr: network.PolicyAddr, Item: "connections.max",
		Reason: fmt.Sprintf("blastd may have %d files open here (RLIMIT_NOFILE), %d for each connection: enough for %d, not for %d", files, perConnection, most, want.Connections.Max),
		Fix:    fmt.Sprintf("Write max = %d, or start blastd where it may have %d: see ulimit -n, or LimitNOFILE= of systemd.", max(most, 1), want.Connections.Max*perConnection+forTheRest),
	}, true
}
