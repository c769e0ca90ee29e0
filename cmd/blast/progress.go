package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/daemon/wire"
)

// event shows what the daemon tells outside of an apply.
func (u *ui) event(ev wire.Event) {
	if ev.Message == "" {
		return
	}
	if ev.Phase == recovered {
		for _, s := range u.streams {
			s.Log(ev.Message)
		}
	}
	u.hear(ev)
}

// recovered is the phase of what a dead command left and is in order now.
const recovered = "recovered"

// hear is event without the streams.
func (u *ui) hear(ev wire.Event) {
	switch {
	case ev.Message == "":
	case ev.Phase != recovered:
		u.tick(ev.Message)
	case u.progress == "json":
		u.talk.Log(ev.Message)
	case u.progress != "quiet":
		u.say("blast: %s", ev.Message)
	}
}

// tick shows what is being done right now; a terminal forgets it again.
func (u *ui) tick(message string) {
	switch u.progress {
	case "tty":
		fmt.Fprintf(u.stderr, "\r\x1b[K%s %s\r", u.mark("…", "..."), shorten(visible(message), 100))
	case "json":
		u.talk.Log(message)
	}
}

func (u *ui) untick() {
	if u.progress == "tty" {
		fmt.Fprint(u.stderr, "\r\x1b[K")
	}
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// applying shows the life of one apply: a line per kind when its last step is
// done, and what is taken back when one fails.
type applying struct {
	u       *ui
	rows    map[string]plan.Row
	left    map[string]int // steps to go, by kind
	started map[string]time.Time
	undoing bool
	at      string // the change that is being made
}

func (u *ui) watch(p plan.Plan) *applying {
	a := &applying{u: u, rows: map[string]plan.Row{}, left: map[string]int{}, started: map[string]time.Time{}}
	for _, r := range p.Rows() {
		a.rows[r.Kind] = r
	}
	if u.talk != nil {
		u.talk.Follow(p)
	}
	for _, s := range p.Steps {
		a.left[s.Kind()]++
	}
	return a
}

// told are the events that lines of JSON tell of.
var told = map[apply.Phase]view.Event{
	apply.Doing: view.ApplyStart, apply.Done: view.ApplyComplete, apply.Failed: view.ApplyErrored, apply.Gating: view.CheckStart,
	apply.Undoing: view.RollbackStart, apply.UndoneOne: view.RollbackComplete, apply.Committed: view.Committed,
	"progress": view.ApplyProgress, wire.Passed: view.CheckComplete,
}

// stream tells the streams, and says whether that is all there is to tell.
func (a *applying) stream(ev wire.Event) bool {
	addr := ev.Addr
	switch ev.Phase {
	case string(apply.Doing), string(apply.Gating):
		a.at = addr
	case "progress":
		addr = a.at
	}
	streams := a.u.streams
	if a.u.progress == "json" {
		streams = append(slices.Clone(streams), a.u.talk)
	}
	for _, s := range streams {
		if e, ok := told[apply.Phase(ev.Phase)]; ok {
			s.Event(e, addr, ev.Message)
		} else if ev.Message != "" {
			s.Log(ev.Message)
		}
	}
	return a.u.progress == "json" || a.u.progress == "quiet"
}

func (a *applying) event(ev wire.Event) {
	ev.Message = interruption(ev)
	if a.stream(ev) {
		return
	}
	kind := plan.Change{Addr: ev.Addr}.Kind()
	switch apply.Phase(ev.Phase) {
	case apply.Doing:
		if _, ok := a.started[kind]; !ok {
			a.started[kind] = time.Now()
		}
		a.u.tick(kind)
	case apply.Done:
		if a.left[kind]--; a.left[kind] == 0 && (kind != check.Name || a.rows[kind].Action == plan.Delete) { // of checks it is told when they pass
			a.done(kind)
		}
	case wire.Passed:
		a.u.untick()
		a.u.say("%s %-11s %-56s %s", a.u.mark("✓", "ok"), kind, strings.TrimPrefix(ev.Addr, kind+"."), ev.Message)
	case apply.Failed:
		a.u.untick()
		a.u.say("%s %-11s %s", a.u.mark("✗", "x"), kind, strings.ReplaceAll(ev.Message, "\n", "\n              "))
	case apply.Undoing:
		a.undoing = true
		a.u.tick("taking back " + ev.Addr)
	case apply.UndoneOne:
		a.u.untick()
		a.u.say("%s %-11s taken back", a.u.mark("↩", "<"), ev.Addr)
	default:
		a.u.hear(ev)
	}
}

// interruption is the message of an event; that of a failure that an interrupt made
// says so. A check may write the same, too.
func interruption(ev wire.Event) string {
	if apply.Phase(ev.Phase) == apply.Failed && strings.HasSuffix(ev.Message, context.Canceled.Error()) && !strings.Contains(ev.Message, "\n| ") {
		return errInterrupted.Error()
	}
	return ev.Message
}

func (a *applying) done(kind string) {
	a.u.untick()
	r := a.rows[kind]
	what := r.Summary
	if r.Action == plan.Delete {
		what = "removed"
	}
	a.u.say("%s %-11s %-56s %s", a.u.mark("✓", "ok"), kind, shorten(what, 56), seconds(time.Since(a.started[kind])))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
