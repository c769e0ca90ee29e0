package session

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

// trackAddr is filesystem.TrackAddr; see policyAddr.
const trackAddr = "filesystem.track"

// alertFile is where alerts are found soon.
func (s Session) alertFile() string { return filepath.Join(s.Env.Run, access.AlertFile) }

// watchAlerts begins to tell of alerts that freeze what runs, until over is called; then
// told says where those end that it told.
func (s Session) watchAlerts(ctx context.Context, st state.State, from int64) (over func(), told <-chan int64) {
	ctx, over = context.WithCancel(ctx)
	end := make(chan int64, 1)
	go func() { end <- s.awaitFreeze(ctx, st, from) }()
	return over, end
}

// alerting is how often is looked for an alert that froze the command.
const alerting = 300 * time.Millisecond

// awaitFreeze tells of them: the command itself can't end then.
func (s Session) awaitFreeze(ctx context.Context, st state.State, from int64) (told int64) {
	if from < 0 {
		return from
	}
	tick := time.NewTicker(alerting)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return from
		case <-tick.C:
		}
		if end := access.End(s.alertFile()); end != from {
			all, err := access.Alerts(s.alertFile(), from)
			if err == nil && slices.ContainsFunc(all, func(a access.Alert) bool { return a.Action == "freeze" }) {
				s.explainAlerts(st, from)
				from = end
			}
		}
	}
}

// explainAlerts tells which alerts fired since the offset, each once. -1 is none.
func (s Session) explainAlerts(st state.State, from int64) {
	if from < 0 {
		return
	}
	all, err := access.Alerts(s.alertFile(), from)
	if err != nil {
		s.say("blast: can't read which alerts fired: %v", err)
	}
	seen := map[string]bool{}
	for _, a := range all {
		if seen[a.Name+a.Failed] {
			continue
		}
		if len(seen) == 0 {
			s.calm()
			s.say("\n%-78s [F101]", "blast: an alert fired")
		} else {
			s.say("")
		}
		seen[a.Name+a.Failed] = true
		s.say("  what   %s", clean(a.Text()))
		s.say("  why    %-68s %s", clean("alert "+word(a.Name)+did(a)), clean(placeOf(st, trackAddr, "alert."+a.Name)))
		s.say("  look   blast files --since 10m")
		if len(seen) == maxExplained {
			return
		}
	}
}

// did is what became of an alert.
func did(a access.Alert) string {
	switch {
	case a.Failed != "":
		return ", and " + a.Action + " failed: " + a.Failed
	case a.Action == "freeze":
		return " froze the environment: blast thaw lets it go on"
	case a.Action == "kill":
		return " killed all commands"
	}
	return ""
}
