package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/meter"
)

const mbit = 1_000_000

// bulkRule allows the servers for many bytes and for echoes.
func bulkRule() network.Egress {
	return network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7, 9}}
}

func bandwidth(egress, ingress int64) network.Limits {
	return network.Limits{Bandwidth: network.Bandwidth{Egress: egress, Ingress: ingress}}
}

func atMost(n int) network.Limits {
	return network.Limits{Connections: network.Connections{Max: n}}
}

// limitedTo brings a sandbox up with limits of the whole and of the rule.
func limitedTo(t *testing.T, all, rule network.Limits, q network.Quota) (*sandbox, network.Policy) {
	t.Helper()
	e := bulkRule()
	e.Limits, e.Quota = rule, q
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	p := policyOf(e)
	p.Limits = all
	s.policy(p)
	return s, p
}

// counted is what the gate counted for a rule.
func (s *sandbox) counted(rule string) meter.Count {
	for _, c := range s.host.Limits(s.env) {
		if c.Rule == rule {
			return c
		}
	}
	return meter.Count{}
}

// bulk connects to the server that takes ("r") or gives ("s") bytes.
func (s *sandbox) bulk(verb string) net.Conn {
	s.Helper()
	c, err := s.dial("tcp", web+":9")
	if err == nil {
		_, err = io.WriteString(c, verb)
	}
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// upload and download go on until stop is closed, and count what the far end got,
// or the sandbox.
func (s *sandbox) upload(conns int) (got func() int64, stop func()) {
	s.Helper()
	var wg sync.WaitGroup
	var open []net.Conn
	buf := make([]byte, 64<<10)
	for range conns {
		c := s.bulk("r")
		open = append(open, c)
		wg.Go(func() {
			for {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		})
	}
	return internet.bulk.Received, func() {
		for _, c := range open {
			_ = c.Close()
		}
		wg.Wait()
	}
}

func (s *sandbox) download() (got func() int64, stop func()) {
	s.Helper()
	c := s.bulk("s")
	var mu sync.Mutex
	var n int64
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			k, err := c.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			n += int64(k)
			mu.Unlock()
		}
	})
	return func() int64 { mu.Lock(); defer mu.Unlock(); return n }, func() { _ = c.Close(); wg.Wait() }
}

// pace is bit/s over a time, after what is in buffers has gone.
func pace(got func() int64, span time.Duration) float64 {
	time.Sleep(500 * time.Millisecond)
	start, before := time.Now(), got()
	time.Sleep(span)
	return float64(got()-before) * 8 / time.Since(start).Seconds()
}

// settles measures until the pace is what it should be, within 15 percent: on a busy
// machine it may be slower for a while, and never may it be faster.
func settles(t *testing.T, what string, got func() int64, want int64) {
	t.Helper()
	slow := 0.0
	for range 8 {
		p := pace(got, 2*time.Second)
		if p > 1.15*float64(want) {
			t.Errorf("%s: %.2f mbit/s, want %d", what, p/mbit, want/mbit)
			return
		}
		if slow = p; p > 0.85*float64(want) {
			return
		}
	}
	t.Errorf("%s: %.2f mbit/s, want %d", what, slow/mbit, want/mbit)
}

func TestBandwidth(t *testing.T) {
	for name, c := range map[string]struct{ all, rule network.Limits }{
		"of the environment": {bandwidth(10*mbit, 10*mbit), network.Limits{}},
		"of a rule":          {bandwidth(40*mbit, 40*mbit), bandwidth(10*mbit, 10*mbit)},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := limitedTo(t, c.all, c.rule, network.Quota{})
			up, stopUp := s.upload(1)
			defer stopUp()
			down, stopDown := s.download()
			defer stopDown()
			var wg sync.WaitGroup
			for way, got := range map[string]func() int64{"egress": up, "ingress": down} {
				wg.Go(func() { settles(t, way, got, 10*mbit) })
			}
			wg.Wait()
			rule := "egress.raw"
			if c.rule == (network.Limits{}) {
				rule = ""
			}
			if n := s.counted(rule); n.Egress.Slowed == 0 || n.Egress.Waited < time.Second || n.Ingress.Waited < time.Second {
				t.Errorf("counted %+v", n)
			}
		})
	}
}

// Many connections share a limit, and each gets something.
func TestManyShareALimit(t *testing.T) {
	const conns = 200
	s, _ := limitedTo(t, bandwidth(0, 20*mbit), network.Limits{}, network.Quota{})
	var wg sync.WaitGroup
	got := make([]int, conns)
	begin := time.Now()
	for i := range conns {
		c := s.bulk("s")
		_ = c.SetDeadline(begin.Add(5 * time.Second))
		wg.Go(func() {
			n, _ := io.Copy(io.Discard, c)
			got[i] = int(n)
		})
	}
	wg.Wait()
	span, sum := time.Since(begin).Seconds(), 0
	for i, n := range got {
		if sum += n; n == 0 {
			t.Errorf("connection %d got nothing", i)
		}
	}
	if rate := float64(sum) * 8 / span; rate > 1.15*20*mbit {
		t.Errorf("together %.2f mbit/s, want 20", rate/mbit)
	}
}

// What the HTTP proxy carries is measured, too: both what is asked and what is
// answered, to a name.
func TestBandwidthOfHTTP(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	for way, l := range map[string]network.Limits{"egress": bandwidth(4*mbit, 0), "ingress": bandwidth(0, 4*mbit)} {
		r := webRule(80)
		r.Limits = l
		s.policy(policyOf(r))
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		const size = 500_000 // a second
		req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://good.example/bytes/%d", size), bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { _ = c.SetDeadline(time.Time{}); return c, nil }}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || n < size {
			t.Errorf("%s: %d bytes, %v", way, n, err)
		}
		if d := time.Since(start); d < 900*time.Millisecond {
			t.Errorf("%s: a second's worth took %v", way, d)
		}
	}
}

// A published port is measured by whose bytes they are, not by who called.
func TestBandwidthOfVisitors(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: freePort(t), Limits: bandwidth(0, 4*mbit)}}
	s.policy(p)
	s.serveInside(8000)
	for _, way := range []string{"ingress", "egress"} {
		p.Ingress[0].Limits = bandwidth(0, 4*mbit)
		if way == "egress" {
			p.Ingress[0].Limits = bandwidth(4*mbit, 0)
		}
		s.policy(p)
		c, err := net.Dial("tcp", p.Ingress[0].Publish)
		if err != nil {
			t.Fatal(err)
		}
		const size = 500_000
		start := time.Now()
		go func() { _, _ = c.Write(make([]byte, size)) }()
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		_ = c.Close()
		if d := time.Since(start); d < 900*time.Millisecond {
			t.Errorf("%s: a second's worth took %v", way, d)
		}
		n := s.counted("ingress.web")
		if n.Ingress.Waited == 0 || (way == "egress") != (n.Egress.Waited > 0) {
			t.Errorf("%s: counted %+v", way, n)
		}
	}
}

// Of UDP what is too much is dropped and counted, in both directions.
func TestBandwidthOfUDP(t *testing.T) {
	for way, l := range map[string]network.Limits{"egress": bandwidth(800_000, 0), "ingress": bandwidth(0, 800_000)} {
		t.Run(way, func(t *testing.T) {
			r := network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp", Limits: l}
			s := up(t, r)
			c, err := s.dial("udp", web+":7000")
			if err != nil {
				t.Fatal(err)
			}
			const packets, size = 300, 1000 // three seconds' worth
			start := time.Now()
			for i := range packets {
				if _, err := fmt.Fprintf(c, "%04d %s", i, strings.Repeat("x", size-5)); err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					runtime.Gosched()
				}
			}
			sent := time.Since(start)
			got, last, end := 0, -1, start
			buf := make([]byte, 4096)
			_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
			for {
				n, err := c.Read(buf)
				if err != nil {
					break
				}
				var at string
				var i int
				if _, err := fmt.Sscanf(string(buf[:n]), "%s %d", &at, &i); err != nil || i <= last {
					t.Fatalf("packet %d after %d: %v", i, last, err)
				}
				last, end = i, time.Now()
				got++
				_ = c.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
			}
			n := s.counted("egress.u")
			dropped := n.Egress.Dropped + n.Ingress.Dropped
			most := 20 + int(110*end.Sub(start).Seconds())
			if got == 0 || got > most || dropped == 0 && sent < time.Second || got+int(dropped) > packets {
				t.Errorf("%d of %d packets came back, %d were dropped", got, packets, dropped)
			}
		})
	}
}

// Limits that come, change and go while bytes are under way lose none of them.
func TestLiveLimitsLoseNothing(t *testing.T) {
	s, p := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{})
	const conns, size = 4, 24 << 20
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range conns {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(60 * time.Second))
		seed := [32]byte{byte(i)}
		wg.Go(func() {
			_, _ = io.Copy(c, io.LimitReader(rand.NewChaCha8(seed), size))
			_ = c.(*net.TCPConn).CloseWrite()
		})
		wg.Go(func() {
			got, want := sha256.New(), sha256.New()
			_, _ = io.Copy(want, io.LimitReader(rand.NewChaCha8(seed), size))
			if n, err := io.Copy(got, c); err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Errorf("connection %d: %d bytes of %d, %v", i, n, size, err)
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	steps := []network.Limits{bandwidth(50*mbit, 0), {}, bandwidth(400*mbit, 400*mbit), bandwidth(0, 50*mbit), {}}
	for i := 0; ; i++ {
		p.Limits = steps[i%len(steps)]
		if i%3 == 0 {
			p.Limits, p.Egress[0].Limits = network.Limits{}, p.Limits
		}
		s.policy(p)
		select {
		case <-done:
			return
		case <-time.After(30 * time.Millisecond):
		}
		if i == 100 { // without limits to the end
			p.Limits, p.Egress[0].Limits, steps = network.Limits{}, network.Limits{}, []network.Limits{{}}
		}
	}
}

// A limit that comes holds for a connection that the kernel copies until then, also
// for one that is silent when it comes; and one that goes lets it go on at full speed.
func TestLiveBandwidth(t *testing.T) {
	s, p := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{})
	silent, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(silent, "x"); err != nil {
		t.Fatal(err)
	}
	got, stop := s.upload(1)
	defer stop()
	free := pace(got, 300*time.Millisecond)
	p.Limits = bandwidth(10*mbit, 0)
	s.policy(p)
	if settles(t, "limited", got, 10*mbit); free < 30*mbit {
		t.Errorf("%.1f mbit/s before the limit", free/mbit)
	}
	stop()
	start := time.Now()
	_ = silent.SetDeadline(start.Add(10 * time.Second))
	go func() { _, _ = silent.Write(make([]byte, 1_250_000)) }()
	if _, err := io.ReadFull(silent, make([]byte, 1_250_000)); err != nil || time.Since(start) < 800*time.Millisecond {
		t.Errorf("a silent connection: %v after %v, want a second", err, time.Since(start))
	}
	p.Limits = network.Limits{}
	got, stop2 := s.upload(1)
	defer stop2()
	s.policy(p)
	if again := pace(got, 300*time.Millisecond); again < 30*mbit {
		t.Errorf("%.1f mbit/s without the limit", again/mbit)
	}
}
