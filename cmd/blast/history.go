package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/state"
)

type historyCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// generation is a line of the history, as --json prints it.
type generation struct {
	Serial  uint64       `json:"serial"`
	Current bool         `json:"current"`
	Origin  state.Origin `json:"origin"`
}

// Run lists the generations that are kept, the newest first. It takes no lock.
func (cmd *historyCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	gens, err := env.History()
	if errors.Is(err, fs.ErrPermission) {
		return client.ErrPrivilege
	}
	if err != nil {
		return err
	}
	slices.Reverse(gens)
	if cmd.JSON {
		out := make([]generation, len(gens))
		for i, s := range gens {
			out[i] = generation{s.Serial, i == 0, s.Origin}
		}
		return u.answer(out)
	}
	if len(gens) == 0 {
		return printAll(u.out, []byte("Nothing is recorded for environment "+env.Name+".\n"))
	}
	var b strings.Builder
	for i, s := range gens {
		mark := " "
		if i == 0 {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %4d  %-16s  %s\n", mark, s.Serial, when(s.Origin.Time), visible(u.story(s.Origin)))
	}
	if len(gens) > 1 {
		fmt.Fprintf(&b, "To go back: blast rollback %d   To compare: blast diff %d %d\n", gens[1].Serial, gens[1].Serial, gens[0].Serial)
	}
	return printAll(u.out, []byte(b.String()))
}

func when(t time.Time) string {
	if t.IsZero() { // of an older Blast
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// story says how a generation came about.
func (u *ui) story(o state.Origin) string {
	var parts []string
	switch o.Mode {
	case plan.Rollback:
		parts = append(parts, "rolled back to "+o.Of)
	case plan.Load:
		parts = append(parts, "loaded "+o.Of)
	case plan.RefreshOnly:
		parts = append(parts, "recorded what was there")
	case state.Edit:
		parts = append(parts, "edited: "+o.Of)
	case plan.Normal, plan.Destroy:
	}
	if o.Partial {
		parts = append(parts, "PARTIAL: an apply failed")
	}
	for _, w := range o.What {
		w = strings.Replace(w, "widen ", u.mark("▲", "^")+" ", 1)
		parts = append(parts, strings.Replace(w, "narrow ", u.mark("▼", "v")+" ", 1))
	}
	return strings.Join(parts, "; ")
}

// serialOf reads the number of a generation.
func serialOf(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no generation: their numbers are in blast history", text)
	}
	return n, nil
}
