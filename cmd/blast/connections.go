package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/traffic"
	"blast.example/blast/state"
)

type connectionsCmd struct {
	Follow bool          `short:"f" help:"Go on with what comes, until Ctrl-C or until the environment is down."`
	Rule   string        `placeholder:"NAME" help:"Only of this egress or ingress rule."`
	Host   string        `placeholder:"HOST" help:"Only with this host or address; *.example.com is all below example.com."`
	Denied bool          `help:"Only what was refused, or cut by the policy or a limit."`
	Live   bool          `xor:"when" help:"Only connections that are open."`
	Past   bool          `xor:"when" help:"Only what is over."`
	Since  time.Duration `placeholder:"TIME" help:"Only what began, or ended, at most so long ago: 10m, 1h30m."`
	JSON   bool          `name:"json" help:"Print lines of JSON, as docs/OUTPUT.md describes them."`
}

// Run shows what the environment's network did and does. It takes no lock.
func (cmd *connectionsCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if cmd.Follow && cmd.Past {
		return u.misused("--follow shows what comes, --past what is over: leave one out")
	}
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	c, err := u.client()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(env.Run); errors.Is(err, fs.ErrNotExist) {
		return cmd.nothing(u, env)
	}
	s := &sightings{cmd: cmd, u: u, src: sourcesOf(env, network.PolicyAddr)}
	if cmd.Since > 0 {
		s.after = time.Now().Add(-cmd.Since)
	}
	return s.all(ctx, c, env)
}

func (cmd *connectionsCmd) nothing(u *ui, env state.Env) error {
	if cmd.JSON {
		return nil
	}
	return printAll(u.out, []byte("Nothing of environment "+env.Name+" is up, so there is no record of connections.\n"))
}

// sourcesOf are the lines of blast.hcl that a recorded object is from.
func sourcesOf(env state.Env, addr string) map[string]string {
	st, err := env.Load()
	if err != nil {
		return nil // they only explain
	}
	for _, o := range st.Objects {
		if o.Addr == addr {
			return o.Src
		}
	}
	return nil
}

// sightings are the lines of the record as they come: at first all that there is,
// in whatever order, then what happens.
type sightings struct {
	cmd   *connectionsCmd
	u     *ui
	src   map[string]string
	after time.Time // what is older is left out

	first  []traffic.Line
	ready  bool // the first ones are shown
	widths widths
	err    error // of writing
}

// all shows the record, and follows it over the deaths of daemons.
func (s *sightings) all(ctx context.Context, c *client.Client, env state.Env) error {
	p := wire.MonitorParams{Env: env, Record: traffic.Record, Follow: s.cmd.Follow}
	for {
		over, err := s.u.monitor(ctx, c, p, func(line json.RawMessage) error {
			s.hear(line)
			return s.err
		})
		switch {
		case errors.Is(err, syscall.EPIPE):
			return nil
		case err != nil && !over && s.cmd.Follow && s.ready && errors.Is(err, client.ErrDied):
			s.again()
		case err != nil:
			return err
		case s.cmd.Follow && !over:
			s.u.say("blast: environment %s is down, or has another gate: nothing more comes", env.Name)
			return nil
		case s.ready:
			return nil
		default: // an environment without a gate has no totals
			return s.show()
		}
	}
}

// again prepares for the next daemon, which tells everything anew.
func (s *sightings) again() {
	s.first, s.ready = nil, false
	s.u.say("blast: blastd died; going on with the next one")
}

// hear takes in one line. Lines of types that a newer daemon has are passed over.
func (s *sightings) hear(b []byte) {
	l, err := traffic.Decode(b)
	if err != nil {
		return
	}
	if l.Denial != nil {
		l.Denial.Place = plan.PlaceOf(s.src, itemOfDenial(*l.Denial))
	}
	if !s.ready {
		if s.wanted(l) {
			s.first = append(s.first, l)
		}
		if l.Totals != nil {
			s.err = s.show()
		}
		return
	}
	if s.wanted(l) {
		s.err = s.print(l)
		s.after = maxTime(s.after, timeOf(l))
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func itemOf(rule string) string { return traffic.KeyOf(traffic.Out, rule) }

// itemOfDenial is the item of the policy that decided.
func itemOfDenial(d traffic.Denial) string { return cmp.Or(d.Limit, traffic.KeyOfDenial(d.Denial)) }

// show prints what there is at first, in order of time, the totals last.
func (s *sightings) show() error {
	s.ready = true
	slices.SortStableFunc(s.first, func(a, b traffic.Line) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), timeOf(a).Compare(timeOf(b)))
	})
	if !s.cmd.JSON {
		s.first = joined(s.first)
	}
	s.widths = widthsOf(s.first)
	if len(s.first) == 0 && !s.cmd.JSON && !s.cmd.Follow {
		return printAll(s.u.out, []byte("No connection is on record.\n"))
	}
	for _, l := range s.first {
		if err := s.print(l); err != nil {
			return err
		}
		s.after = maxTime(s.after, timeOf(l))
	}
	s.first = nil
	return nil
}

// joined makes one line of what a resolver asks in one go: A and AAAA of a name.
func joined(ls []traffic.Line) []traffic.Line {
	var out []traffic.Line
	for _, l := range ls {
		if n := len(out); n > 0 && l.Question != nil && out[n-1].Question != nil {
			if was := out[n-1].Question; was.Host == l.Question.Host && was.PID == l.Question.PID && l.Question.Time.Sub(was.Time) < time.Second {
				was.Record += ", " + l.Question.Record
				continue
			}
		}
		out = append(out, l)
	}
	return out
}

func rank(l traffic.Line) int {
	if l.Totals != nil {
		return 1
	}
	return 0
}

// timeOf is when a line was written: the last thing that it tells of.
func timeOf(l traffic.Line) time.Time {
	switch {
	case l.Connection != nil && l.Connection.State == traffic.Closed:
		return l.Connection.Ended
	case l.Connection != nil:
		return l.Connection.Time
	case l.Question != nil:
		return l.Question.Time
	case l.Denial != nil:
		return l.Denial.Time
	}
	return time.Time{}
}

// print writes one line, as text or JSON.
func (s *sightings) print(l traffic.Line) error {
	if s.cmd.JSON {
		b, err := view.Encode(l.Value(), "")
		if err != nil {
			return err
		}
		return s.write(append(b, '\n'))
	}
	if l.Totals != nil {
		if s.cmd.Follow || s.cmd.Host != "" {
			return nil
		}
		return s.write([]byte(s.totals(*l.Totals)))
	}
	return s.write([]byte(s.u.fit(s.row(l)) + "\n"))
}

// write is an error also where the reader went away, as that would be followed for
// ever.
func (s *sightings) write(b []byte) error {
	_, err := s.u.stdout.Write(b)
	return err
}

// wanted reports whether the flags ask for a line.
func (s *sightings) wanted(l traffic.Line) bool {
	if l.Totals != nil || l.Missed != nil {
		return true
	}
	cmd, f := s.cmd, factsOf(l)
	if !s.ready && !f.open && !s.after.IsZero() && !timeOf(l).After(s.after) {
		return false
	}
	if cmd.Denied && !f.denied || cmd.Live && !f.open || cmd.Past && f.open {
		return false
	}
	return matchesRule(cmd.Rule, f.rule) && (matchesHost(cmd.Host, f.host) || matchesHost(cmd.Host, f.addr))
}

// facts are what the flags ask for.
type facts struct {
	host, addr, rule string
	denied, open     bool
}

func factsOf(l traffic.Line) facts {
	switch {
	case l.Connection != nil:
		c := l.Connection
		return facts{c.Host, c.Addr, c.Key(), slices.Contains(againstWill, c.End), c.State == traffic.Open}
	case l.Question != nil:
		return facts{host: l.Question.Host, rule: itemOf(l.Question.Rule)}
	case l.Denial != nil:
		return facts{host: l.Denial.Host, addr: l.Denial.Addr, rule: traffic.KeyOfDenial(l.Denial.Denial), denied: !l.Denial.Allowed}
	}
	return facts{}
}

// againstWill are the ends of connections that blastd cut.
var againstWill = []string{traffic.ByPolicy, traffic.ByLimit, traffic.Refused}

// matchesRule compares with a rule's name, or its address in blast.hcl.
func matchesRule(want, key string) bool {
	_, name, _ := strings.Cut(key, ".")
	return want == "" || want == key || want == name && name != ""
}

// matchesHost compares with a name or an address, or with all names below one.
func matchesHost(want, host string) bool {
	if want == "" {
		return true
	}
	if below, ok := strings.CutPrefix(want, "*"); ok && strings.HasPrefix(below, ".") {
		return strings.HasSuffix(host, strings.ToLower(below))
	}
	return host != "" && host == strings.ToLower(want)
}

// duration is a time as a person says it.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
