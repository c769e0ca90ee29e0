package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
)

type statsCmd struct {
	Follow bool `short:"f" help:"Measure again each second, until Ctrl-C or until the environment is down."`
	All    bool `short:"a" help:"Of every environment on this machine."`
	JSON   bool `name:"json" help:"Print lines of JSON, as docs/OUTPUT.md describes them."`
}

// How long is measured for a rate.
const (
	shortly  = 500 * time.Millisecond
	steadily = time.Second
)

// rates are what is used up per second, between two measurements.
type rates struct {
	CPUs      float64 `json:"cpus"`      // processors at work
	Throttled float64 `json:"throttled"` // part of the CPU's periods, from 0 to 1
	Read      float64 `json:"read_bps"`
	Write     float64 `json:"write_bps"`
	Reads     float64 `json:"read_iops"`
	Writes    float64 `json:"write_iops"`
}

// measured is one environment, as --json prints it.
type measured struct {
	Environment string       `json:"environment"`
	ID          string       `json:"id"`
	Project     string       `json:"project"`
	Up          bool         `json:"up"`
	Held        *state.Hold  `json:"held,omitempty"`
	Interval    int64        `json:"interval_ms"`
	Rates       rates        `json:"rates"`
	Usage       *state.Usage `json:"usage"`
	Layer       *state.Space `json:"layer,omitempty"`
	Rooms       []state.Room `json:"rooms,omitempty"`
}

// Run measures twice, and shows what was in between and what is now.
func (cmd *statsCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	c, err := u.client()
	if err != nil {
		return err
	}
	var id, name string
	if !cmd.All {
		env, err := u.locate(g)
		if err != nil {
			return err
		}
		id, name = env.ID, env.Name
	}
	claims, err := state.Claims()
	if err != nil || !slices.ContainsFunc(claims, func(c state.Claim) bool { return id == "" || c.ID == id }) {
		return errors.Join(err, cmd.nothing(u, name))
	}
	s := &statistics{cmd: cmd, u: u, c: c, id: id, tty: isTerminal(u.stdout)}
	return s.all(ctx)
}

func (cmd *statsCmd) nothing(u *ui, name string) error {
	if cmd.JSON {
		return nil
	}
	text := "Environment " + name + " is not up: nothing runs in it.\n"
	if cmd.All {
		text = "No environment is on this machine.\n"
	}
	return printAll(u.out, []byte(text))
}

// statistics are measured again and again.
type statistics struct {
	cmd  *statsCmd
	u    *ui
	c    *client.Client
	id   string // "" is all
	tty  bool
	was  map[string]state.Usage // by id
	rows int                    // on the terminal, of the last measurement
	head bool                   // the head of the table is printed
}

func (s *statistics) all(ctx context.Context) error {
	if _, err := s.measure(ctx); err != nil {
		return err
	}
	wait := shortly
	for {
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how it ends
		case <-time.After(wait):
		}
		ms, err := s.measure(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C
		case err != nil:
			return err
		}
		if len(ms) == 0 {
			s.u.say("blast: nothing is up any more")
			return nil
		}
		if err := s.show(ms); err != nil || !s.cmd.Follow {
			if errors.Is(err, syscall.EPIPE) {
				return nil
			}
			return err
		}
		wait = steadily
	}
}

// measure asks the daemon, also the next one after one that died.
func (s *statistics) measure(ctx context.Context) ([]measured, error) {
	var res wire.SurveyResult
	if err := s.c.Call(ctx, wire.Survey, wire.SurveyParams{ID: s.id}, &res, s.u.event); err != nil {
		return nil, err
	}
	now := map[string]state.Usage{}
	var ms []measured
	for _, f := range res.Environments {
		m := measured{
			Environment: f.Now.Name, ID: f.Now.ID, Project: f.Now.Project, Up: f.Vitals.PID > 0,
			Held: f.Vitals.Held, Usage: f.Vitals.Usage, Layer: f.Vitals.Layer, Rooms: f.Vitals.Rooms,
		}
		if m.Usage != nil {
			now[m.ID] = *m.Usage
			if was, ok := s.was[m.ID]; ok {
				m.Interval, m.Rates = m.Usage.Time.Sub(was.Time).Milliseconds(), ratesOf(was, *m.Usage)
			}
		}
		ms = append(ms, m)
	}
	s.was = now
	slices.SortFunc(ms, func(a, b measured) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Environment, b.Environment))
	})
	return ms, nil
}

// ratesOf is what was used up between two measurements. Counters of an environment that
// was made anew in between begin at 0.
func ratesOf(a, b state.Usage) rates {
	took := b.Time.Sub(a.Time).Seconds()
	if took <= 0 {
		return rates{}
	}
	per := func(a, b uint64) float64 { return float64(b-min(a, b)) / took }
	r := rates{
		CPUs: per(a.CPU.Time, b.CPU.Time) / 1e6,
		Read: per(a.IO.Read, b.IO.Read), Write: per(a.IO.Written, b.IO.Written),
		Reads: per(a.IO.Reads, b.IO.Reads), Writes: per(a.IO.Writes, b.IO.Writes),
	}
	if periods := per(a.CPU.Periods, b.CPU.Periods); periods > 0 {
		r.Throttled = min(per(a.CPU.Throttled, b.CPU.Throttled)/periods, 1)
	}
	return r
}

// show prints a measurement: as JSON; one environment to a person as a paragraph, which
// takes the place of the one before; all else as rows of a table.
func (s *statistics) show(ms []measured) error {
	var b strings.Builder
	switch {
	case s.cmd.JSON:
		for _, m := range ms {
			line, err := view.Encode(m, "")
			if err != nil {
				return err
			}
			b.Write(append(line, '\n'))
		}
	case s.id != "" && (s.tty || !s.cmd.Follow):
		b.WriteString(ms[0].paragraph())
	default:
		b.WriteString(s.table(ms))
	}
	text := b.String()
	if s.tty && s.cmd.Follow && !s.cmd.JSON {
		text = s.over(text)
	}
	_, err := io.WriteString(s.u.stdout, text) // an error also where the reader went away: it would be followed for ever
	return err
}

// over draws over what was drawn before: ECMA-48's CPL and ED.
func (s *statistics) over(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutSuffix(l, "\n"); ok {
			lines[i] = s.u.fit(rest) + "\n"
		}
	}
	text = strings.Join(lines, "")
	if s.rows > 0 {
		text = fmt.Sprintf("\x1b[%dF\x1b[J", s.rows) + text
	}
	s.rows = strings.Count(text, "\n")
	return text
}
