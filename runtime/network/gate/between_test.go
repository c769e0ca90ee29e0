package gate

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/traffic"
)

// Limits of both environments hold for a connection between them: what leaves the one
// comes into the other.
func TestLimitsBetweenEnvironments(t *testing.T) {
	s := up(t, backendRule())
	p := backend("default")
	b := s.neighbour("backend", p)
	b.serveInside(8000)
	const size = 250_000
	seconds := func() float64 {
		t.Helper()
		c, err := s.connect("backend.blast.internal", "8000")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		start := time.Now()
		go func() { _, _ = c.Write(make([]byte, size)) }()
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		return time.Since(start).Seconds()
	}
	p.Ingress[0].Limits = bandwidth(0, 2*mbit) // a second
	b.policy(p)
	if d := seconds(); d < 0.9 {
		t.Errorf("a second's worth came in in %.2f s", d)
	}
	if n := b.counted("ingress.api"); n.Ingress.Waited == 0 || n.Egress.Waited != 0 {
		t.Errorf("counted %+v", n)
	}
	p.Ingress[0].Limits = network.Limits{}
	p.Limits = bandwidth(2*mbit, 0)
	b.policy(p)
	if d := seconds(); d < 0.9 {
		t.Errorf("a second's worth left in %.2f s", d)
	}
	p.Limits, p.Ingress[0].Limits = network.Limits{}, atMost(1)
	b.policy(p)
	held, err := s.connect("backend.blast.internal", "8000")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(held, "\x00held"); err != nil {
		t.Fatal(err)
	}
	if c, err := s.connect("backend.blast.internal", "8000"); err == nil && echoes(c, "\x00more") == nil {
		t.Error("a second one came in")
	}
	s.denied("backend.blast.internal:8000", `environment "backend": ingress "api" has 1 connections open`)
	_ = held.Close()
	for end := time.Now().Add(5 * time.Second); b.counted("ingress.api").Open > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still counted: %+v", b.counted("ingress.api"))
		}
	}
	if c, err := s.connect("backend.blast.internal", "8000"); err != nil || echoes(c, "\x00next") != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

// Visitors of a published UDP port are limited as others are.
func TestUDPVisitorsAreLimited(t *testing.T) {
	s := up(t)
	s.udpInside("127.0.0.1:8000", "a:")
	at := freeUDP(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "dns", Port: 8000, Publish: at, Protocol: "udp", Limits: atMost(1)}}
	s.policy(p)
	var cs [2]net.Conn
	for i := range cs {
		c, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		cs[i] = c
	}
	if got := askUDP(t, cs[0], "x"); got != "a:x" {
		t.Errorf("the first: %q", got)
	}
	if got := askUDP(t, cs[1], "y"); got != "" {
		t.Errorf("the second: %q", got)
	}
	s.denials(func(d denial.Denial) bool {
		return d.Op == denial.Visit && d.Protocol == "udp" && d.Addr == "127.0.0.1"
	})
	p.Ingress[0].Limits = bandwidth(0, 800_000)
	s.policy(p)
	const packets = 300
	start := time.Now()
	for i := range packets {
		_, _ = fmt.Fprintf(cs[0], "%04d%s", i, strings.Repeat("x", 1000))
	}
	got, sent, end := 0, time.Since(start), start
	for buf := make([]byte, 4096); ; got++ {
		_ = cs[0].SetReadDeadline(time.Now().Add(700 * time.Millisecond))
		if _, err := cs[0].Read(buf); err != nil {
			break
		}
		end = time.Now()
	}
	if n := s.counted("ingress.dns"); got == 0 || got > 20+int(110*end.Sub(start).Seconds()) || n.Ingress.Dropped == 0 && sent < time.Second {
		t.Errorf("%d of %d came back: %+v", got, packets, n)
	}
}

// Both environments have a connection between them on record, each from its side, with
// how it ended.
func TestBothSidesAreOnRecord(t *testing.T) {
	s := up(t, backendRule())
	b := s.neighbour("backend", backend("default"))
	b.serveInside(8000)
	connect := func(say int) net.Conn {
		t.Helper()
		c, err := s.connect("backend.blast.internal", "8000")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, strings.Repeat("x", say)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ended := func(sent uint64, how, reason string) {
		t.Helper()
		over := func(way string) func(traffic.Connection) bool {
			return func(c traffic.Connection) bool { return isClosed(c) && c.Way == way && c.Sent == sent }
		}
		out, in := s.connection(over(traffic.Out)), b.connection(over(traffic.In))
		if out.Host != "backend.blast.internal" || out.Rule != "api" || in.Host != "default.blast.internal" || in.Rule != "api" || in.Port != 8000 || in.To != "127.0.0.1:8000" {
			t.Errorf("out %+v, in %+v", out, in)
		}
		for _, c := range []traffic.Connection{out, in} {
			if c.Received != sent || c.End != how || c.Reason != reason {
				t.Errorf("%d bytes came in, ended by %s: %q; want %d, %s: %q", c.Received, c.End, c.Reason, sent, how, reason)
			}
		}
	}
	_ = connect(1001).Close()
	ended(1001, traffic.ByClient, "")

	c := connect(1002)
	b.policy(backend("frontend"))
	_, _ = c.Read(make([]byte, 1))
	ended(1002, traffic.ByPolicy, `environment "backend" lets this one in no more`)

	b.policy(backend("default"))
	c = connect(1003)
	s.policy(policyOf())
	_, _ = c.Read(make([]byte, 1))
	ended(1003, traffic.ByPolicy, "no rule names it any more")

	s.policy(policyOf(backendRule()))
	p := backend("default")
	p.Ingress[0].Limits = atMost(1)
	b.policy(p)
	c = connect(1004)
	if more, err := s.connect("backend.blast.internal", "8000"); err == nil && echoes(more, "\x00more") == nil {
		t.Error("a second one came in")
	}
	b.denials(func(d denial.Denial) bool {
		return d.Op == denial.Visit && d.Host == "default.blast.internal" && d.Rule == "ingress.api" && d.Limit == "ingress.api.connections.max"
	})
	b.apply(plan.Change{Addr: network.PolicyAddr, From: attrs(p)})
	_, _ = c.Read(make([]byte, 1))
	out := s.connection(func(c traffic.Connection) bool { return isClosed(c) && c.Sent == 1004 })
	if out.End != traffic.ByPolicy || out.Reason != `environment "backend" is not up any more` {
		t.Errorf("ended by %s: %q", out.End, out.Reason)
	}
}
