package session

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
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
	held := s.Env.Held() != nil
	tick := time.NewTicker(alerting)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return from
		case <-tick.C:
		}
		if h := s.Env.Held(); h != nil && !held {
			held = true
			s.explainHold(*h)
		}
		if from < 0 {
			continue
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

// explainHold tells that the command stands still, if no alert does: that says it itself.
func (s Session) explainHold(h state.Hold) {
	if strings.HasPrefix(h.By, "alert ") {
		return
	}
	s.calm()
	s.say("\n%-78s [F102]", "blast: the sandbox stands still")
	s.say("  what   %s", clean(cmp.Or(h.Why, "all commands of the environment were stopped")))
	s.say("  why    %-68s %s", clean("by "+h.By), clean(h.Place))
	s.say("  go on  blast thaw")
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
