package main

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/traffic"
)

// TestForgedRowsAreOneRow: what a sandbox chose draws nothing, and looks like no
// other row or column.
func TestForgedRowsAreOneRow(t *testing.T) {
	evil := "x\n14:00:00  allowed  connect  bank.example:443\t\x1b[2J\u202e" + strings.Repeat("y", 300)
	who := traffic.Process{PID: 3, Command: evil, Script: evil, Where: evil}
	s := &sightings{cmd: &connectionsCmd{}, widths: widthsOf(nil)}
	for what, l := range map[string]traffic.Line{
		"connection": {Connection: &traffic.Connection{Way: traffic.Out, Host: evil, Protocol: "tcp", Port: 443, Rule: evil, Process: who, End: traffic.Refused, Reason: evil}},
		"visitor":    {Connection: &traffic.Connection{Way: traffic.In, Addr: evil, Protocol: "udp", Port: 443, Process: who}},
		"question":   {Question: &traffic.Question{Host: evil, Record: evil, Process: who}},
		"denial":     {Denial: &traffic.Denial{Denial: denial.Denial{Op: evil, Host: evil, Command: evil, Reason: evil, Place: evil}}},
	} {
		row := s.row(l)
		if i := strings.IndexFunc(row, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q is shown", what, row[i:i+1])
		}
		if strings.Contains(row, "  allowed  connect  bank") {
			t.Errorf("%s looks like another row: %s", what, row)
		}
		if len(row) > 1000 {
			t.Errorf("%s has %d bytes", what, len(row))
		}
	}
}

func TestWhatIsWanted(t *testing.T) {
	now := time.Now()
	open := traffic.Line{Connection: &traffic.Connection{Way: traffic.Out, State: traffic.Open, Time: now.Add(-time.Hour), Host: "a.example", Rule: "web"}}
	over := traffic.Line{Connection: &traffic.Connection{Way: traffic.Out, State: traffic.Closed, Time: now.Add(-time.Hour), Ended: now.Add(-time.Minute), Host: "b.a.example", Rule: "db"}}
	cut := traffic.Line{Connection: &traffic.Connection{Way: traffic.In, State: traffic.Closed, Ended: now, Addr: "192.0.2.1", Rule: "web", End: traffic.ByPolicy}}
	limited := traffic.Line{Connection: &traffic.Connection{Way: traffic.Out, State: traffic.Closed, Ended: now, Host: "d.example", Rule: "db", End: traffic.ByLimit}}
	visitor := traffic.Line{Denial: &traffic.Denial{Denial: denial.Denial{Op: denial.Visit, Time: now, Addr: "192.0.2.1", Rule: "ingress.web"}}}
	asked := traffic.Line{Question: &traffic.Question{Time: now, Host: "a.example", Rule: "web"}}
	refused := traffic.Line{Denial: &traffic.Denial{Denial: denial.Denial{Time: now, Host: "c.example"}}}
	audited := traffic.Line{Denial: &traffic.Denial{Denial: denial.Denial{Time: now, Addr: "192.0.2.1", Allowed: true}}}
	all := []traffic.Line{open, over, cut, asked, refused, audited, limited, visitor}
	for what, tt := range map[string]struct {
		cmd   connectionsCmd
		since time.Duration
		want  string
	}{
		"all":       {connectionsCmd{}, 0, "yyyyyyyy"},
		"live":      {connectionsCmd{Live: true}, 0, "y......."},
		"past":      {connectionsCmd{Past: true}, 0, ".yyyyyyy"},
		"denied":    {connectionsCmd{Denied: true}, 0, "..y.y.yy"},
		"rule":      {connectionsCmd{Rule: "web"}, 0, "y.yy...y"},
		"egress":    {connectionsCmd{Rule: "egress.web"}, 0, "y..y...."},
		"host":      {connectionsCmd{Host: "A.example"}, 0, "y..y...."},
		"below":     {connectionsCmd{Host: "*.a.example"}, 0, ".y......"},
		"address":   {connectionsCmd{Host: "192.0.2.1"}, 0, "..y..y.y"},
		"30s":       {connectionsCmd{}, 30 * time.Second, "y.yyyyyy"}, // what is open goes on
		"of no one": {connectionsCmd{Rule: "other"}, 0, "........"},
	} {
		s := &sightings{cmd: &tt.cmd}
		if tt.since > 0 {
			s.after = now.Add(-tt.since)
		}
		got := ""
		for _, l := range all {
			if s.wanted(l) {
				got += "y"
			} else {
				got += "."
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", what, got, tt.want)
		}
	}
}

// TestLimitsThatDidSomething are shown, by rule.
func TestLimitsThatDidSomething(t *testing.T) {
	all := []traffic.Limits{
		{Egress: traffic.Pace{Slowed: 3, Waited: 1500 * time.Millisecond}},
		{Rule: "egress.db", RefusedMax: 2, RefusedRate: 3, Ingress: traffic.Pace{Used: 1024, Budget: 5 << 20}},
		{Rule: "egress.idle", Open: 4},
	}
	for rule, want := range map[string]string{
		"":   "all        0        1.5s        -          0        -          -\negress.db  5        -           -          0        -          1 KiB of 5 MiB\n",
		"db": "egress.db  5        -           -          0        -          1 KiB of 5 MiB\n",
	} {
		var out strings.Builder
		(&sightings{cmd: &connectionsCmd{Rule: rule}}).limits(&out, all)
		if _, rows, _ := strings.Cut(out.String(), "QUOTA IN\n"); rows != want {
			t.Errorf("rule %q:\n%s", rule, out.String())
		}
	}
}

func TestSizesAndTimes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 2130: "2.1 KB", 999_960: "1.0 MB", 5e15: "5000.0 TB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{3 * time.Millisecond: "3ms", 1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s"} {
		if got := duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestQuestionsInOneGoAreOneRow(t *testing.T) {
	now := time.Now()
	ask := func(host, record string, at time.Duration) traffic.Line {
		return traffic.Line{Question: &traffic.Question{Host: host, Record: record, Time: now.Add(at)}}
	}
	ls := joined([]traffic.Line{ask("a.example", "A", 0), ask("a.example", "AAAA", 0), ask("b.example", "A", 0), ask("b.example", "A", 2*time.Second)})
	if len(ls) != 3 || ls[0].Question.Record != "A, AAAA" {
		t.Errorf("%d rows, the first is %+v", len(ls), ls[0].Question)
	}
}
