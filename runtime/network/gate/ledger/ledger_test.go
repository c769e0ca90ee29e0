package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

var far = netip.MustParseAddrPort("93.184.215.14:443")

func open(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(Options{Dir: dir, Look: func(s who.Socket) traffic.Process {
		return traffic.Process{PID: 7, Command: "curl"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *Ledger) begin(host string) *Entry {
	return l.Begin(traffic.Connection{Way: traffic.Out, Protocol: "tcp", Host: host, Port: 443, Rule: "web"}, who.Socket{}, nil)
}

// shown is what Show tells.
func shown(t *testing.T, l *Ledger) (all []traffic.Line, totals traffic.Totals) {
	t.Helper()
	err := l.Show(context.Background(), false, func(b json.RawMessage) error {
		line, err := traffic.Decode(b)
		if line.Totals != nil {
			totals = *line.Totals
		} else {
			all = append(all, line)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, totals
}

func connections(ls []traffic.Line) map[string]traffic.Connection {
	m := map[string]traffic.Connection{}
	for _, l := range ls {
		if l.Connection != nil {
			m[l.Connection.Host] = *l.Connection
		}
	}
	return m
}

func TestEndedAndOpen(t *testing.T) {
	l := open(t, t.TempDir())
	e := l.begin("ended.example")
	e.Led(far)
	e.Count(10, 20)
	e.Request()
	e.End(traffic.ByServer, "")
	e.End(traffic.ByPolicy, "too late")
	o := l.begin("open.example")
	o.Count(1, 2)
	l.begin("refused.example").End(traffic.Refused, "it led nowhere")
	l.Refused("egress.web")
	all, totals := shown(t, l)
	cs := connections(all)
	if c := cs["ended.example"]; len(cs) != 2 || c.State != traffic.Closed || c.End != traffic.ByServer || c.Sent != 10 || c.Received != 20 ||
		c.Requests != 1 || c.To != far.String() || c.PID != 7 || c.Ended.Before(c.Time) {
		t.Errorf("%d connections: %+v", len(cs), c)
	}
	if c := cs["open.example"]; c.State != traffic.Open || c.Sent != 1 || !c.Ended.IsZero() {
		t.Errorf("%+v", c)
	}
	if s := totals.Rules["egress.web"]; s != (traffic.Sum{Connections: 2, Open: 1, Refused: 1, Sent: 11, Received: 22}) {
		t.Errorf("%+v", s)
	}
}

// TestDaemonThatWasKilled: what had ended is as it was, what was open ended with it.
func TestDaemonThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	done := l.begin("ended.example")
	done.Led(far)
	done.Count(10, 20)
	done.End(traffic.ByClient, "")
	left := l.begin("open.example")
	left.Led(far)
	<-left.looked // its line is being written, with the lock
	l.mu.Lock()
	l.mu.Unlock() //nolint:staticcheck // and the process dies: nothing is written after this
	f, err := os.OpenFile(filepath.Join(dir, traffic.File), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"type":"connection","id":9`) // in the middle of a line
	_ = f.Close()

	for range 2 { // and once more
		l = open(t, dir)
		all, totals := shown(t, l)
		cs := connections(all)
		if c := cs["ended.example"]; len(all) != 2 || c.End != traffic.ByClient || c.Sent != 10 || c.ID != 1 {
			t.Errorf("of %d: %+v", len(all), c)
		}
		if c := cs["open.example"]; c.State != traffic.Closed || c.End != traffic.WithDaemon || c.Reason == "" {
			t.Errorf("%+v", c)
		}
		if s := totals.Rules["egress.web"]; s.Connections != 2 || s.Open != 0 || s.Sent != 10 {
			t.Errorf("%+v", s)
		}
	}
	if e := l.begin("next.example"); e.c.ID != 3 {
		t.Errorf("the next one is %d", e.c.ID)
	}
}

// TestClosedInOrder: what is open ends with the daemon, and the totals go on.
func TestClosedInOrder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.begin("open.example").Led(far)
	l.Refused("")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all, totals := shown(t, open(t, dir))
	if c := connections(all)["open.example"]; c.End != traffic.WithDaemon {
		t.Errorf("%+v", c)
	}
	if totals.Rules["egress.web"].Connections != 1 || totals.Rules[""].Refused != 1 {
		t.Errorf("%+v", totals)
	}
}

// TestFloodIsCounted: a sandbox decides how many connections it makes, not how many
// lines there are.
func TestFloodIsCounted(t *testing.T) {
	l := open(t, t.TempDir())
	l.connections, l.questions = rate.NewLimiter(0, burst), rate.NewLimiter(0, burst)
	flood := func(n int) {
		for i := range n {
			e := l.begin("a.example")
			e.Led(far)
			e.Count(1, 1)
			e.End(traffic.ByClient, "")
			l.Question(traffic.Question{Host: fmt.Sprintf("%d.example", i), Record: "A", Rule: "web"}, who.Socket{})
		}
	}
	flood(3 * burst)
	l.connections, l.questions = rate.NewLimiter(rate.Inf, 1), rate.NewLimiter(rate.Inf, 1)
	l.begin("last.example").End(traffic.ByClient, "")
	l.Question(traffic.Question{Host: "last.example", Record: "A", Rule: "web"}, who.Socket{})
	all, totals := shown(t, l)
	n, missed := map[string]int{}, map[string]int{}
	for _, line := range all {
		if c := line.Connection; c != nil {
			n["connections"]++
			missed["connections"] += c.Missed
		}
		if q := line.Question; q != nil {
			n["questions"]++
			missed["questions"] += q.Missed
		}
	}
	for _, what := range []string{"connections", "questions"} {
		if n[what] != burst+1 || missed[what] != 2*burst {
			t.Errorf("%d %s, and %d missed", n[what], what, missed[what])
		}
	}
	if s := totals.Rules["egress.web"]; s.Connections != 3*burst+1 || s.Sent != 3*burst || s.Questions != 3*burst+1 {
		t.Errorf("%+v", s)
	}
	if len(l.recent) > maxRecent {
		t.Errorf("%d questions are remembered", len(l.recent))
	}
}

// TestSameQuestionIsOneLine: a resolver asks again and again.
func TestSameQuestionIsOneLine(t *testing.T) {
	l := open(t, t.TempDir())
	for range 5 {
		l.Question(traffic.Question{Host: "a.example", Record: "A", Rule: "web"}, who.Socket{})
	}
	l.Question(traffic.Question{Host: "a.example", Record: "AAAA", Rule: "web"}, who.Socket{})
	if all, totals := shown(t, l); len(all) != 2 || totals.Rules["egress.web"].Questions != 6 {
		t.Errorf("%d lines, %+v", len(all), totals)
	}
}

// TestFilesAreBounded: and what is open outlives the files that told of it.
func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.connections = rate.NewLimiter(rate.Inf, 1)
	l.begin("open.example").Led(far)
	long := strings.Repeat("x", 240) + ".example"
	const n = 12000
	for range n {
		e := l.begin(long)
		e.Led(far)
		e.Count(1, 0)
		e.End(traffic.ByClient, strings.Repeat("y", 1000))
	}
	total := int64(0)
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", e.Name(), fi.Mode())
		}
		total += fi.Size()
	}
	if len(es) != 2 || total > 2*(maxSize+ndjson.MaxLine) {
		t.Errorf("%d files, %d bytes", len(es), total)
	}
	l = open(t, dir)
	all, totals := shown(t, l)
	if c := connections(all)["open.example"]; c.End != traffic.WithDaemon {
		t.Errorf("%+v", c)
	}
	if s := totals.Rules["egress.web"]; s.Connections != n+1 || s.Sent != n {
		t.Errorf("%+v", s)
	}
}

// TestFullDisk: nothing waits for it, no half line is left, and it is said.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	l := open(t, dir)
	for i := range burst {
		e := l.begin(fmt.Sprintf("%d.example", i))
		e.Led(far)
		e.End(traffic.ByClient, "")
	}
	all, totals := shown(t, l)
	if totals.Dropped == 0 || len(all) == 0 || totals.Rules["egress.web"].Connections != burst {
		t.Errorf("%d lines, %+v", len(all), totals)
	}
	b, err := os.ReadFile(filepath.Join(dir, traffic.File))
	if err != nil || b[len(b)-1] != '\n' {
		t.Errorf("the last line is not whole: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := traffic.Decode([]byte(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestForgedNamesAreBounded: what a sandbox chose is cut, and stays in its line.
func TestForgedNamesAreBounded(t *testing.T) {
	dir := t.TempDir()
	evil := strings.Repeat("\n{\"type\":\"totals\"}\x1b[2J", 1000)
	l, err := Open(Options{
		Dir: dir,
		Look: func(who.Socket) traffic.Process {
			return traffic.Process{PID: 1, HostPID: 1, Command: evil, Script: evil}
		},
		Where: func(int, string, netip.AddrPort) (string, bool) { return evil, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	e := l.begin("a.example")
	e.Led(far)
	e.End(traffic.Refused, evil)
	b, err := os.ReadFile(filepath.Join(dir, traffic.File))
	if err != nil || len(b) > 10*maxWord*6 || strings.Contains(string(b), "\x1b") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for line := range strings.Lines(string(b)) {
		if got, err := traffic.Decode([]byte(line)); err != nil || got.Connection == nil || got.Connection.State == traffic.Closed && got.Connection.Where == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestRulesWithTotalsAreBounded(t *testing.T) {
	l := open(t, t.TempDir())
	for i := range 2 * maxRules {
		l.Refused(fmt.Sprint(i))
	}
	if _, totals := shown(t, l); len(totals.Rules) > maxRules+1 || totals.Rules[""].Refused < maxRules-1 {
		t.Errorf("%d rules", len(totals.Rules))
	}
}

// TestLeavingLooksForNobody: a gate that goes doesn't wait for searches.
func TestLeavingLooksForNobody(t *testing.T) {
	l := open(t, t.TempDir())
	l.Leave()
	l.begin("a.example").End(traffic.ByClient, "")
	all, _ := shown(t, l)
	if c := connections(all)["a.example"]; c.Unknown != traffic.Unasked || c.PID != 0 {
		t.Errorf("%+v", c)
	}
}

// Of a connection without lines of its own it is asked who made it only if it lasts, and
// its end waits for nobody.
func TestWhoIsAskedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l, err := Open(Options{Dir: t.TempDir(), Look: func(who.Socket) traffic.Process {
			asked++
			return traffic.Process{PID: 7, Command: "curl"}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		l.connections = rate.NewLimiter(0, 0)
		for range 10 {
			e := l.begin("short.example")
			e.End(traffic.ByClient, "")
			e.End(traffic.WithDaemon, "again") // and it comes back
		}
		time.Sleep(2 * lookAfter)
		synctest.Wait()
		if asked != 0 {
			t.Errorf("asked %d times for connections that were over", asked)
		}
		l.begin("long.example")
		all, _ := shown(t, l)
		if c := connections(all)["long.example"]; c.Unknown != traffic.Unasked {
			t.Errorf("at first: %+v", c)
		}
		time.Sleep(2 * lookAfter)
		synctest.Wait()
		all, totals := shown(t, l)
		if c := connections(all)["long.example"]; c.PID != 7 || c.Unknown != "" || asked != 1 {
			t.Errorf("asked %d times: %+v", asked, c)
		}
		if n := totals.Rules["egress.web"].Connections; n != 11 {
			t.Errorf("%d connections are counted, want 11", n)
		}
	})
}
