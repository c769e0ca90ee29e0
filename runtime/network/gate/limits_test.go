package gate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
)

func TestConnectionLimits(t *testing.T) {
	s, p := limitedTo(t, atMost(4), atMost(3), network.Quota{})
	open := func() error {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			return err
		}
		return echoes(c, "x")
	}
	for range 3 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the fourth: %v, want reset", err)
	}
	d := s.denials(func(d denial.Denial) bool { return d.Limit == "egress.raw.connections.max" })
	if len(d) == 0 || d[0].Rule != "raw" || d[0].Target() != web+":7" || !strings.Contains(d[0].Reason, "has 3 connections open") {
		t.Errorf("%+v", d)
	}
	if n := s.counted("egress.raw"); n.Open != 3 || n.RefusedMax != 1 {
		t.Errorf("counted %+v", n)
	}
	p.Egress[0].Connections.Max = 100
	s.policy(p)
	if err := open(); err != nil {
		t.Errorf("raised: %v", err)
	}
	if err := open(); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the fifth of the environment: %v", err)
	}
	s.denied(web+":7", "4 connections are open, the most that connections.max of the network block allows")
}

// A max that is lowered holds at once: the youngest connections are cut.
func TestLoweredMaxCuts(t *testing.T) {
	s, p := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{})
	var open []net.Conn
	for range 4 {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, "x"); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	p.Egress[0].Connections.Max = 2
	s.policy(p)
	for i, c := range open {
		if err := atOnce(t, "echo", func() error { return echoes(c, "y") }); (err == nil) != (i < 2) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	s.denied(web+":7", "the most that its connections.max allows")
}

func TestNewConnectionsPerTime(t *testing.T) {
	s, p := limitedTo(t, network.Limits{}, network.Limits{Connections: network.Connections{Rate: network.Rate{N: 5, Per: time.Hour}}}, network.Quota{})
	try := func() error {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return echoes(c, "x")
	}
	for i := range 7 {
		if err := try(); (err == nil) != (i < 5) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	s.denied(web+":7", `new connections come faster than connections.rate of egress "raw" allows (5/h)`)
	if n := s.counted("egress.raw"); n.RefusedRate != 2 {
		t.Errorf("counted %+v", n)
	}
	p.Egress[0].Connections.Rate = network.Rate{}
	s.policy(p)
	if err := try(); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// Visitors of a published port are refused the same way, and don't take away what
// the sandbox may open.
func TestVisitorsAreLimited(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	p := policyOf(bulkRule())
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: freePort(t), Limits: atMost(2)}}
	s.policy(p)
	s.serveInside(8000)
	visit := func() error {
		c, err := net.Dial("tcp", p.Ingress[0].Publish)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		return echoes(c, "x")
	}
	for i := range 3 {
		if err := visit(); (err == nil) != (i < 2) {
			t.Errorf("visitor %d: %v", i, err)
		}
	}
	d := s.denials(func(d denial.Denial) bool { return d.Op == denial.Visit })
	if len(d) == 0 || d[0].Addr != "127.0.0.1" || d[0].HostPID != 0 || d[0].Limit != "ingress.web.connections.max" {
		t.Errorf("%+v", d)
	}
	if n := s.counted("ingress.web"); n.Open != 2 || n.RefusedMax != 1 {
		t.Errorf("counted %+v", n)
	}
	if _, totals := s.record(); totals.Rules["ingress.web"].Refused != 1 || totals.Rules["egress.ingress.web"].Refused != 0 {
		t.Errorf("on record %+v", totals.Rules)
	}
	c, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "x"); err != nil {
		t.Errorf("from inside: %v", err)
	}
}

// A quota cuts what is open, stays used up over a restart of the daemon, and opens
// when it is raised.
func TestQuota(t *testing.T) {
	const most = 100_000
	s, p := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{Ingress: most})
	idle, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(idle, "12345"); err != nil {
		t.Fatal(err)
	}
	c := s.bulk("s")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := io.Copy(io.Discard, c)
	if !errors.Is(err, unix.ECONNRESET) || n > most-5 || n < most/2 {
		t.Errorf("got %d bytes, %v; want at most %d and a reset", n, err, most-5)
	}
	if err := atOnce(t, "idle", func() error { return echoes(idle, "x") }); err == nil {
		t.Error("a silent connection of the same rule goes on")
	}
	closed := func(when string) {
		t.Helper()
		c, err := s.dial("tcp", web+":7")
		if err == nil {
			err = echoes(c, "x")
		}
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %v, want reset", when, err)
		}
	}
	closed("used up")
	s.denied(web+":9", `egress "raw" has got the 100 kB that its quota.ingress allows, and is closed: raise the quota to open it now`)
	if n := s.counted("egress.raw"); n.RefusedQuota < 2 || n.Ingress.Used != most || n.Ingress.Budget != most {
		t.Errorf("counted %+v", n)
	}

	restart := func() {
		t.Helper()
		if err := s.host.Close(); err != nil {
			t.Fatal(err)
		}
		s.host = New(slog.New(slog.DiscardHandler))
		if err := s.host.Sync(context.Background(), s.env); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	closed("after a restart")
	other := policyOf(p.Egress[0], webRule(80))
	s.policy(other)
	closed("after a change of another rule")
	other.Egress[0].Quota.Ingress = 2 * most
	s.policy(other)
	if c, err := s.dial("tcp", web+":7"); err != nil {
		t.Error(err)
	} else if err := echoes(c, "x"); err != nil {
		t.Errorf("raised: %v", err)
	}

	// Without the rule and back: as an undo it has used as much, for good it has not.
	s.policy(policyOf())
	s.policy(p)
	closed("after an undo")
	s.policy(policyOf())
	s.commit(plan.Change{Addr: network.PolicyAddr, To: attrs(policyOf())})
	s.policy(p)
	if c, err := s.dial("tcp", web+":7"); err != nil {
		t.Error(err)
	} else if err := echoes(c, "x"); err != nil {
		t.Errorf("another rule: %v", err)
	}
}

// A quota counts what is sent ahead of the answer, through the HTTP proxy, and UDP.
func TestQuotaOfEverything(t *testing.T) {
	h := webRule(80)
	h.Quota.Egress = 3000
	u := network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp", Quota: network.Quota{Egress: 3000}}
	s := up(t, h, u)
	for i, path := range []string{"/1", "/" + strings.Repeat("x", 4000)} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := get(c, "good.example", path); i == 0 && err != nil || i == 1 && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("HTTP, %d bytes of path: %v", len(path), err)
		}
	}
	s.denials(func(d denial.Denial) bool { return d.Limit == "egress.web.quota.egress" && d.Host == "good.example" })
	for _, w := range internet.http.Seen() {
		if strings.Contains(w, "xxxx") {
			t.Errorf("the server saw %.40s", w)
		}
	}
	udp, err := s.dial("udp", web+":7000")
	if err != nil {
		t.Fatal(err)
	}
	if err := attemptOn(udp); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_, _ = udp.Write(make([]byte, 1000))
	}
	s.denials(func(d denial.Denial) bool { return d.Limit == "egress.u.quota.egress" && d.Protocol == "udp" })
	if n := s.counted("egress.u"); n.Egress.Used != 3000 {
		t.Errorf("counted %+v", n)
	}
}

// What was used and can't be read counts as all, until somebody applies.
func TestDamagedUsageCloses(t *testing.T) {
	s, p := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{Ingress: 1 << 20})
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(s.env.Run, usageNote+".json")
	if err := os.WriteFile(note, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.host = New(slog.New(slog.DiscardHandler))
	if err := s.host.Sync(context.Background(), s.env); err != nil {
		t.Fatal(err)
	}
	try := func() error {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			return err
		}
		return echoes(c, "x")
	}
	if err := try(); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want reset", err)
	}
	s.denied(web+":7", "it is not known what it used of its quota")
	now := s.observe()[network.PolicyAddr]
	if !strings.Contains(now, `egress \"raw\" is closed, and its quota begins anew`) {
		t.Errorf("observed %s", now)
	}
	s.apply(plan.Change{Addr: network.PolicyAddr, From: []byte(now), To: attrs(p)})
	if err := try(); err != nil {
		t.Errorf("after an apply: %v", err)
	}
	if got := s.observe()[network.PolicyAddr]; got != string(attrs(p)) {
		t.Errorf("observed %s", got)
	}
}

// Nothing of limited connections is left: not of cut ones, waiting ones, nor of UDP.
func TestLimitsLeaveNothing(t *testing.T) {
	round := func() {
		e := bulkRule()
		e.Quota.Ingress = 300_000
		u := network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"}
		s := up(t, e, u)
		p := policyOf(e, u)
		p.Limits = bandwidth(8000, 1*mbit)
		s.policy(p)
		var open []net.Conn
		for range 20 {
			c := s.bulk("r")
			_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = c.Write(make([]byte, 100_000))
			open = append(open, c)
		}
		c, err := s.dial("udp", web+":7000")
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			_, _ = c.Write(make([]byte, 1000))
		}
		open = append(open, c)
		down := s.bulk("s")
		_ = down.SetDeadline(time.Now().Add(300 * time.Millisecond))
		_, _ = io.Copy(io.Discard, down)
		for _, c := range append(open, down) {
			_ = c.Close()
		}
		start := time.Now()
		if err := s.host.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 10*time.Second { // half a minute, if each had its turn
			t.Errorf("closed after %v", d)
		}
	}
	round()
	files, routines := descriptors(t), runtime.NumGoroutine()
	for range 2 {
		round()
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f, r := descriptors(t), runtime.NumGoroutine()
		if f <= files+3 && r <= routines+3 {
			return
		}
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d descriptors became %d, %d goroutines %d\n%s", files, f, routines, r, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestTooManyForThisHost(t *testing.T) {
	p := policyOf()
	for _, c := range []struct {
		max   int
		files uint64
		bad   bool
	}{{0, 100, false}, {256, 1024, false}, {257, 1024, true}, {9744, 20000, false}, {65535, 1 << 20, false}, {65535, 65536, true}, {1, 10, true}, {65535, ^uint64(0), false}} {
		p.Connections.Max = c.max
		found, bad := tooManyFor(p, c.files)
		if bad != c.bad || bad && found.Item != "connections.max" {
			t.Errorf("%+v: %v, %+v", c, bad, found)
		}
	}
}
