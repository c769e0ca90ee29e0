package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/process"
	"blast.example/blast/state"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// standing is one object as it was recorded and as it is.
type standing struct {
	Addr   string      `json:"address"`
	State  string      `json:"state"` // ok | changed | gone | unrecorded
	Text   string      `json:"summary"`
	Detail []plan.Item `json:"items,omitempty"` // what differs from the records

	Because string `json:"because,omitempty"` // how that came, as far as it is known
}

type statusReport struct {
	Environment string        `json:"environment"`
	Up          bool          `json:"up"`
	Held        *state.Hold   `json:"held,omitempty"` // it stands still; see blast freeze
	Serial      uint64        `json:"serial"`
	Objects     []standing    `json:"objects"`
	Expires     time.Time     `json:"expires,omitzero"` // when blastd destroys it: ttl
	Phases      []state.Phase `json:"phases,omitempty"` // the last ones, in order
	Daemon      wireStatus    `json:"daemon"`
	Recorded    []plan.Object `json:"recorded"`
	Observed    []plan.Object `json:"observed"`
}

type wireStatus struct {
	PID int   `json:"pid"`
	RSS int64 `json:"rss_bytes"`
}

// Run compares the records with what the kernel says now.
func (cmd *statusCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	c, err := client.New()
	if err != nil {
		return err
	}
	var look wire.LookResult
	if err := c.Call(ctx, wire.Look, wire.LookParams{Env: env}, &look, u.event); err != nil {
		return err
	}
	var daemon wire.StatusResult
	if err := c.Call(ctx, wire.Status, nil, &daemon, nil); err != nil {
		return err
	}
	u.untick()
	r := statusReport{Environment: env.Name, Serial: look.Serial, Daemon: wireStatus{daemon.PID, daemon.RSS}, Recorded: concealed(look.Recorded), Observed: concealed(look.Observed)}
	r.Objects = compareStanding(look.Recorded, words.Order(look.Observed), look.Witnessed)
	r.Up = slices.ContainsFunc(look.Observed, func(o plan.Object) bool { return o.Addr == process.SandboxAddr })
	r.Held, r.Expires, r.Phases = env.Held(), look.Expires, look.Phases
	if cmd.JSON {
		return u.answer(r)
	}
	return printAll(u.out, []byte(r.text()))
}

// concealed are objects as they may be shown.
func concealed(objs []plan.Object) []plan.Object {
	out := slices.Clone(objs)
	for i := range out {
		out[i].Attrs, _ = words.Conceal(out[i].Addr, out[i].Attrs)
	}
	return out
}

func compareStanding(recorded, observed []plan.Object, known map[string]string) []standing {
	now := map[string]plan.Object{}
	for _, o := range observed {
		now[o.Addr] = o
	}
	out := []standing{}
	for _, o := range recorded {
		s := standing{Addr: o.Addr, State: "ok", Text: words.Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Summary}
		is, there := now[o.Addr]
		switch {
		case !there:
			s.State = "gone"
		case !bytes.Equal(is.Attrs, o.Attrs):
			s.State = "changed"
			s.Detail = differences(o, is)
		}
		if s.State != "ok" {
			s.Because = known[o.Addr]
		}
		delete(now, o.Addr)
		out = append(out, s)
	}
	for _, o := range observed {
		if _, left := now[o.Addr]; left {
			out = append(out, standing{Addr: o.Addr, State: "unrecorded", Text: words.Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Summary})
		}
	}
	return out
}

// differences are what the kind found on the host, or else those of the attributes.
func differences(recorded, is plan.Object) []plan.Item {
	mend := words.Describe(plan.Change{Addr: recorded.Addr, From: is.Attrs, To: recorded.Attrs}).Items
	found := slices.DeleteFunc(mend, func(it plan.Item) bool { return it.Because == "" })
	if len(found) > 0 {
		return found
	}
	return words.Describe(plan.Change{Addr: recorded.Addr, From: recorded.Attrs, To: is.Attrs}).Items
}

func (r statusReport) text() string {
	var b strings.Builder
	up := "down"
	if r.Up {
		up = "up"
	}
	if r.Up && r.Held != nil {
		up = "frozen"
	}
	fmt.Fprintf(&b, "environment.%s  %s  generation %d   blastd: pid %d, %.1f MiB\n", r.Environment, up, r.Serial, r.Daemon.PID, float64(r.Daemon.RSS)/(1<<20))
	r.tellTimes(&b)
	if r.Held != nil {
		fmt.Fprintf(&b, "  %s; blast thaw lets it go on\n", cell(r.Held.Tell(r.Environment)))
	}
	for _, o := range r.Objects {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-10s %-22s %s", o.State, o.Addr, o.Text), " ") + "\n")
		for _, it := range o.Detail {
			fmt.Fprintf(&b, "               %s\n", difference(it))
		}
		if o.Because != "" {
			fmt.Fprintf(&b, "               %s\n", o.Because)
		}
	}
	if slices.ContainsFunc(r.Objects, func(o standing) bool { return o.State != "ok" }) {
		b.WriteString("The host differs from the records: `blast plan` shows what apply would mend.\n")
	}
	return b.String()
}

// tellTimes says since when the environment is what it is, how it came there, and when
// it ends.
func (r statusReport) tellTimes(b *strings.Builder) {
	if n := len(r.Phases); n > 0 {
		last := r.Phases[n-1]
		fmt.Fprintf(b, "  %s since %s", last.Name, last.Begun.Local().Format("2006-01-02 15:04:05"))
		if before := way(r.Phases[:n-1]); before != "" {
			fmt.Fprintf(b, ", after %s", before)
		}
		b.WriteString("\n")
	}
	if !r.Expires.IsZero() {
		fmt.Fprintf(b, "  ends %s, as its ttl says\n", r.Expires.Local().Format("2006-01-02 15:04:05"))
	}
}

// way are the phases since it was at rest last, with how long each took.
func way(phases []state.Phase) string {
	var parts []string
	for _, p := range slices.Backward(phases) {
		if p.Name == state.Active || p.Name == state.Frozen {
			break
		}
		part := p.Name + " " + duration(p.Ended.Sub(p.Begun))
		if p.Detail != "" {
			part += " (" + cell(p.Detail) + ")"
		}
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	return strings.Join(parts, ", ")
}

// difference is an item as it was recorded and as it is, or what the kind itself
// says about the host.
func difference(it plan.Item) string {
	switch {
	case it.Before == "" && it.After == "":
		return it.Because
	case it.After == "":
		return fmt.Sprintf("%-20s recorded %s, is gone", it.Name, it.Before)
	case it.Before == "":
		return fmt.Sprintf("%-20s not recorded, is %s", it.Name, it.After)
	}
	return fmt.Sprintf("%-20s recorded %s, is %s", it.Name, it.Before, it.After)
}
