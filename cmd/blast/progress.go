package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/daemon/wire"
)

// event shows what the daemon tells outside of an apply.
func (u *ui) event(ev wire.Event) {
	switch u.progress {
	case "quiet":
	case "json":
		u.eventJSON(ev)
	default:
		if ev.Message != "" && ev.Phase == "recovered" {
			u.say("blast: %s", ev.Message)
		} else if ev.Message != "" {
			u.tick(ev.Message)
		}
	}
}

func (u *ui) eventJSON(ev wire.Event) {
	b, err := json.Marshal(ev)
	if err == nil {
		u.say("%s", b)
	}
}

// tick shows what is being done right now; a terminal forgets it again.
func (u *ui) tick(message string) {
	switch u.progress {
	case "tty":
		fmt.Fprintf(u.stderr, "\r\x1b[K%s %s\r", u.mark("…", "..."), shorten(visible(message), 100))
	case "json":
		u.eventJSON(wire.Event{Phase: "progress", Message: message})
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
}

func (u *ui) watch(p plan.Plan) *applying {
	a := &applying{u: u, rows: map[string]plan.Row{}, left: map[string]int{}, started: map[string]time.Time{}}
	for _, r := range p.Rows() {
		a.rows[r.Kind] = r
	}
	for _, s := range p.Steps {
		a.left[s.Kind()]++
	}
	return a
}

func (a *applying) event(ev wire.Event) {
	if a.u.progress == "json" {
		a.u.eventJSON(ev)
		return
	}
	if a.u.progress == "quiet" {
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
		message := ev.Message
		if strings.HasSuffix(message, context.Canceled.Error()) && !strings.Contains(message, "\n| ") { // which a check may write, too
			message = errInterrupted.Error()
		}
		a.u.say("%s %-11s %s", a.u.mark("✗", "x"), kind, strings.ReplaceAll(message, "\n", "\n              "))
	case apply.Undoing:
		a.undoing = true
		a.u.tick("taking back " + ev.Addr)
	case apply.UndoneOne:
		a.u.untick()
		a.u.say("%s %-11s taken back", a.u.mark("↩", "<"), ev.Addr)
	default:
		a.u.event(ev)
	}
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
