package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/network/traffic"
)

// A row is one line of the table: when, what became of it, what was done to which
// target, by whom, by which rule, and more.
type row struct{ when, verdict, verb, target, who, rule, more string }

// widths are those of the columns that differ, in characters. They are those of
// what is shown first; a longer text later takes the room that it needs.
type widths struct{ target, who, rule int }

// Bounds of what a sandbox may fill a column with, in characters.
const (
	maxTarget = 60
	maxWho    = 40
	maxReason = 200
)

func widthsOf(ls []traffic.Line) widths {
	w := widths{target: 24, who: 20, rule: 12}
	for _, l := range ls {
		r, ok := rowOf(l)
		if !ok {
			continue
		}
		w.target = max(w.target, utf8.RuneCountInString(r.target))
		w.who = max(w.who, utf8.RuneCountInString(r.who))
		w.rule = max(w.rule, utf8.RuneCountInString(r.rule))
	}
	return w
}

// row is a line of the record as text.
func (s *sightings) row(l traffic.Line) string {
	if l.Missed != nil {
		return fmt.Sprintf("          %d lines came faster than they were read", l.Missed.Lines)
	}
	r, _ := rowOf(l)
	w := s.widths
	return strings.TrimRight(fmt.Sprintf("%-8s  %-7s  %-7s  %-*s  %-*s  %-*s  %s",
		r.when, r.verdict, r.verb, w.target, r.target, w.who, r.who, w.rule, r.rule, r.more), " ")
}

func rowOf(l traffic.Line) (row, bool) {
	switch {
	case l.Connection != nil:
		return connectionRow(*l.Connection), true
	case l.Question != nil:
		q := *l.Question
		return row{
			clock(q.Time), verdict(q.Audit), "resolve", named(q.Host, maxTarget), whoOf(q.Process), ruleOf(itemOf(q.Rule)),
			details(sentence(q.Record, maxWho), missed(q.Missed)),
		}, true
	case l.Denial != nil:
		return denialRow(*l.Denial), true
	}
	return row{}, false
}

func connectionRow(c traffic.Connection) row {
	r := row{when: clock(c.Time), verdict: verdict(c.Audit), verb: "connect", target: named(c.Target(), maxTarget), who: whoOf(c.Process), rule: ruleOf(c.Key())}
	if c.Protocol == "udp" {
		r.target += "/udp"
	}
	from, requests := "", ""
	if c.Way == traffic.In {
		r.verb, from = "accept", "from "+named(cmp.Or(c.Host, c.Addr), maxTarget)
	}
	if c.Requests > 0 {
		requests = counted(c.Requests, "request")
	}
	if c.End == traffic.ByPolicy || c.End == traffic.ByLimit {
		r.verdict = "cut"
	}
	through := fmt.Sprintf("%s out, %s in", bytesOf(c.Sent), bytesOf(c.Received))
	if c.End == traffic.WithDaemon && c.Sent+c.Received == 0 { // blastd was killed: nobody counted
		through = ""
	}
	r.more = details(through, requests, lasted(c), from, ending(c), missed(c.Missed))
	return r
}

func lasted(c traffic.Connection) string {
	if c.State == traffic.Open {
		return "open"
	}
	return duration(c.Ended.Sub(c.Time))
}

// ending is how a connection ended, unless one of its sides just closed it.
func ending(c traffic.Connection) string {
	said := map[string]string{
		traffic.ByPolicy: "cut by the policy", traffic.ByLimit: "cut by a limit", traffic.Refused: "refused", traffic.TimedOut: "timed out",
		traffic.Unreachable: "not reached", traffic.WithDaemon: "ended with blastd",
	}[c.End]
	if said == "" || c.Reason == "" {
		return said
	}
	return said + ": " + sentence(c.Reason, maxReason)
}

func denialRow(d traffic.Denial) row {
	r := row{
		when: clock(d.Time), verdict: "denied", verb: cell(wording.Foreign(d.Op, 7)), target: named(d.Target(), maxTarget),
		who: whoOf(traffic.Process{PID: d.PID, Command: d.Command, Script: d.Script, Where: d.Where}), rule: ruleOf(traffic.KeyOfDenial(d.Denial)),
	}
	if d.Allowed {
		r.verdict = "audit"
	}
	if d.Protocol != "" && d.Protocol != "tcp" {
		r.target += "/" + d.Protocol
	}
	r.more = details(sentence(d.Reason, maxReason), sentence(d.Place, maxReason), missed(d.Missed))
	return r
}

func verdict(audit bool) string {
	if audit {
		return "audit"
	}
	return "allowed"
}

func ruleOf(key string) string {
	if key == "" {
		return "no rule"
	}
	return named(key, maxTarget)
}

// whoOf is a process in few words: python3 app.py:12 (7).
func whoOf(p traffic.Process) string {
	if p.Command == "" {
		if p.Unknown == "" {
			return "-"
		}
		return "(" + p.Unknown + ")"
	}
	words := []string{named(p.Command, maxWho)}
	switch {
	case p.Where != "":
		words = append(words, named(path.Base(p.Where), maxWho))
	case p.Script != "":
		words = append(words, named(path.Base(p.Script), maxWho))
	}
	return fmt.Sprintf("%s (%d)", strings.Join(words, " "), p.PID)
}

// named is a word that a sandbox chose. One with blanks in it would look like more
// columns.
func named(s string, most int) string {
	return strings.ReplaceAll(cell(wording.Foreign(s, most)), " ", "_")
}

// sentence is a text that quotes what a sandbox chose: no gap in it looks like that
// between two columns.
func sentence(s string, most int) string {
	return strings.Join(strings.Fields(cell(wording.Foreign(s, most))), " ")
}

func missed(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d before it are not on record one by one", n)
}

func details(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// counted is a number of things.
func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bytesOf is a size with one digit behind the point, in powers of 1000.
func bytesOf(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1000, "KB"
	for _, next := range []string{"MB", "GB", "TB"} {
		if f < 999.95 {
			break
		}
		f, unit = f/1000, next
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// fit shortens a line that a terminal would break.
func (u *ui) fit(line string) string {
	if w, _, err := term.GetSize(int(u.stdout.Fd())); err == nil && w > 40 && utf8.RuneCountInString(line) > w {
		return string([]rune(line)[:w-3]) + "..."
	}
	return line
}
