package meter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"blast.example/blast/runtime/network"
)

// memory is a Store, and how it fails.
type memory struct {
	mu         sync.Mutex
	all        map[string]Used
	load, save error
	saves      int
}

func (m *memory) Load() (map[string]Used, error) { return maps.Clone(m.all), m.load }

func (m *memory) Save(all map[string]Used) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.save == nil {
		m.all = maps.Clone(all)
	}
	return m.save
}

func policyOf(all network.Limits, es ...network.Egress) network.Policy {
	return network.Policy{Limits: all, Egress: es}
}

func rule(name string, l network.Limits, q network.Quota) network.Egress {
	return network.Egress{Name: name, Limits: l, Quota: q}
}

func most(n int) network.Limits { return network.Limits{Connections: network.Connections{Max: n}} }

// told remembers the events of a flow.
type told struct {
	cut   error
	wakes int
}

func (w *told) events() Events {
	return Events{Cut: func(err error) { w.cut = err }, Wake: func() { w.wakes++ }}
}

func open(t *testing.T, m *Meters, name string) (*Flow, *told) {
	t.Helper()
	w := &told{}
	f, err := m.Open(name, w.events())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f, w
}

func refused(t *testing.T, m *Meters, name, limit, reason string) {
	t.Helper()
	f, err := m.Open(name, (&told{}).events())
	var r *LimitError
	if !errors.As(err, &r) || r.Limit != limit || !strings.Contains(r.Reason, reason) {
		t.Errorf("%s: %v, %v; want %s: %s", name, f, err, limit, reason)
	}
}

func count(m *Meters, name string) Count {
	for _, c := range m.Snapshot() {
		if c.Rule == name {
			return c
		}
	}
	return Count{}
}

func TestMax(t *testing.T) {
	m := New(&memory{})
	m.Use(policyOf(most(4), rule("a", most(2), network.Quota{}), rule("b", network.Limits{}, network.Quota{})))
	a, _ := open(t, m, "egress.a")
	_, _ = open(t, m, "egress.a")
	refused(t, m, "egress.a", "egress.a.connections.max", `egress "a" has 2 connections open, the most that its connections.max allows: raise it`)
	_, _ = open(t, m, "egress.b")
	_, _ = open(t, m, "")
	refused(t, m, "egress.b", "connections.max", "4 connections are open, the most that connections.max of the network block allows")
	a.Close()
	a.Close() // twice counts once
	_, _ = open(t, m, "egress.b")
	refused(t, m, "egress.b", "connections.max", "4 connections are open")
	if all, of := count(m, ""), count(m, "egress.a"); all.Open != 4 || all.RefusedMax != 2 || of.Open != 1 || of.RefusedMax != 1 {
		t.Errorf("%+v, %+v", all, of)
	}
	if err := m.Full(4); err == nil || m.Full(3) != nil {
		t.Errorf("full: %v", err)
	}
}

// Without a line visitors and what the sandbox opens are bounded apart.
func TestDefaults(t *testing.T) {
	m := New(&memory{})
	m.Use(network.Policy{Ingress: []network.Ingress{{Name: "w"}, {Name: "x", Limits: most(1)}}})
	for range network.DefaultOpen {
		_, _ = open(t, m, "")
		_, _ = open(t, m, "ingress.w")
	}
	refused(t, m, "", "connections.max", "1024 connections are open, the most there may be without a line: write connections { max = 2048 } in the network block")
	refused(t, m, "ingress.w", "ingress.w.connections.max", `ingress "w" has 1024 visitors, the most there may be without a line`)
	_, _ = open(t, m, "ingress.x")
	refused(t, m, "ingress.x", "ingress.x.connections.max", `ingress "x" has 1 connections open`)
}

func TestNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&memory{})
		rate := network.Limits{Connections: network.Connections{Rate: network.Rate{N: 3, Per: time.Second}}}
		m.Use(policyOf(network.Limits{}, rule("a", rate, network.Quota{})))
		for range 3 {
			f, _ := open(t, m, "egress.a")
			f.Close()
		}
		refused(t, m, "egress.a", "egress.a.connections.rate", `new connections come faster than connections.rate of egress "a" allows (3/s): raise it`)
		_, _ = open(t, m, "")
		time.Sleep(400 * time.Millisecond)
		_, _ = open(t, m, "egress.a")
		refused(t, m, "egress.a", "egress.a.connections.rate", "")
		if c := count(m, "egress.a"); c.RefusedRate != 2 {
			t.Errorf("%+v", c)
		}
		m.Use(policyOf(rate))
		for range 3 {
			_, _ = open(t, m, "")
		}
		refused(t, m, "", "connections.rate", "connections.rate of the network block allows (3/s)")
	})
}

// A limit that is lowered holds for what is open: the youngest go.
func TestLoweredMaxCuts(t *testing.T) {
	m := New(&memory{})
	m.Use(policyOf(network.Limits{}, rule("a", most(5), network.Quota{}), rule("b", network.Limits{}, network.Quota{})))
	var as, bs []*told
	for range 5 {
		_, a := open(t, m, "egress.a")
		_, b := open(t, m, "egress.b")
		as, bs = append(as, a), append(bs, b)
	}
	cut := func(ws []*told) (s string) {
		for _, w := range ws {
			s += fmt.Sprintf("%t ", w.cut != nil)
		}
		return s
	}
	m.Use(policyOf(network.Limits{}, rule("a", most(3), network.Quota{}), rule("b", network.Limits{}, network.Quota{})))
	if a, b := cut(as), cut(bs); a != "false false false true true " || strings.Contains(b, "true") {
		t.Errorf("rule lowered: %s, %s", a, b)
	}
	m.Use(policyOf(most(9), rule("a", network.Limits{}, network.Quota{}), rule("b", network.Limits{}, network.Quota{})))
	if b := cut(bs); b != "false false false false true " || bs[0].wakes != 2 {
		t.Errorf("environment lowered: %s", b)
	}
	if c := count(m, "egress.a"); c.RefusedMax != 2 {
		t.Errorf("%+v", c)
	}
}

func take(t *testing.T, f *Flow, d Direction, n int) error {
	t.Helper()
	return f.Take(t.Context(), d, n)
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		m := New(s)
		day := network.Quota{Egress: 1000, Window: 24 * time.Hour}
		p := policyOf(network.Limits{}, rule("a", network.Limits{}, day), rule("b", network.Limits{}, network.Quota{}))
		m.Use(p)
		f, own := open(t, m, "egress.a")
		_, idle := open(t, m, "egress.a")
		_, other := open(t, m, "egress.b")
		if f.Metered(Ingress) || !f.Metered(Egress) {
			t.Error("metered in the wrong direction")
		}
		for _, n := range []int{400, 600} {
			if err := take(t, f, Egress, n); err != nil {
				t.Fatal(err)
			}
		}
		err := take(t, f, Egress, 1)
		const says = `egress "a" has sent the 1 kB that its quota.egress allows, and is closed until 2000-01-02 `
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v", err)
		}
		if idle.cut == nil || own.cut != nil || other.cut != nil {
			t.Errorf("cut: %v, %v, %v", idle.cut, own.cut, other.cut)
		}
		refused(t, m, "egress.a", "egress.a.quota.egress", says)
		_, _ = open(t, m, "egress.b")
		if c := count(m, "egress.a"); c.Egress.Used != 1000 || c.Egress.Budget != 1000 || c.RefusedQuota != 3 || !c.Again.Equal(time.Now().Add(24*time.Hour)) {
			t.Errorf("%+v", c)
		}

		// Raised: open again. Lowered again: closed.
		p.Egress[0].Quota.Egress = 1500
		m.Use(p)
		f, _ = open(t, m, "egress.a")
		if err := take(t, f, Egress, 400); err != nil {
			t.Error(err)
		}
		p.Egress[0].Quota.Egress = 1000
		m.Use(p)
		refused(t, m, "egress.a", "egress.a.quota.egress", "closed until")

		// The next window.
		time.Sleep(24*time.Hour - time.Second)
		refused(t, m, "egress.a", "egress.a.quota.egress", "closed until")
		time.Sleep(time.Second)
		f, _ = open(t, m, "egress.a")
		if err := take(t, f, Egress, 1000); err != nil {
			t.Error(err)
		}
	})
}

// What goes beyond the quota is refused as a whole, and the rule is closed then.
func TestQuotaIsNeverExceeded(t *testing.T) {
	m := New(&memory{})
	m.Use(policyOf(network.Limits{}, rule("a", network.Limits{}, network.Quota{Ingress: 1000})))
	f, _ := open(t, m, "egress.a")
	if err := take(t, f, Ingress, 999); err != nil {
		t.Fatal(err)
	}
	if err := take(t, f, Ingress, 2); err == nil || !strings.HasSuffix(err.Error(), "and is closed: raise the quota to open it now") {
		t.Errorf("%v", err)
	}
	if err := take(t, f, Ingress, 1); err == nil {
		t.Error("the last byte went through after the refusal")
	}
	if err := take(t, f, Egress, 1<<40); err != nil {
		t.Errorf("the other direction: %v", err)
	}
}

func TestUsageIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		m := New(s)
		p := policyOf(network.Limits{}, rule("a", network.Limits{}, network.Quota{Egress: 1000}), rule("b", network.Limits{}, network.Quota{Ingress: 7}))
		m.Use(p)
		f, _ := open(t, m, "egress.a")
		for range 500 {
			_ = take(t, f, Egress, 1)
			time.Sleep(10 * time.Millisecond)
		}
		s.mu.Lock()
		if s.saves < 4 || s.saves > 6 {
			t.Errorf("saved %d times in 5 seconds", s.saves)
		}
		s.mu.Unlock()
		if err := m.Close(); err != nil || s.all["egress.a"].Egress != 500 {
			t.Errorf("%v, %+v", err, s.all)
		}

		m = New(s)
		m.Use(p)
		f, _ = open(t, m, "egress.a")
		if err := take(t, f, Egress, 501); err == nil {
			t.Error("a restart forgot what was used")
		}

		// A rule that goes and comes back, as an undo does, has used as much.
		m.Use(policyOf(network.Limits{}))
		m.Drop(policyOf(network.Limits{}))
		m.Use(p)
		refused(t, m, "egress.a", "egress.a.quota.egress", "")
		// For good it is another rule.
		m.Use(policyOf(network.Limits{}))
		m.Drop(policyOf(network.Limits{}))
		m.Forget()
		m.Use(p)
		_, _ = open(t, m, "egress.a")
		if err := m.Close(); err != nil || len(s.all) != 0 {
			t.Errorf("%v, %+v", err, s.all)
		}
	})
}

// What can't be known is taken for used up.
func TestUnknownUsageCloses(t *testing.T) {
	for what, s := range map[string]*memory{
		"unreadable":     {load: errors.New("the note is damaged")},
		"less than none": {all: map[string]Used{"egress.a": {Egress: -5}}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := New(s)
				p := policyOf(network.Limits{}, rule("a", network.Limits{}, network.Quota{Egress: 1000}), rule("b", network.Limits{}, network.Quota{}))
				m.Use(p)
				refused(t, m, "egress.a", "egress.a.quota", `egress "a" is closed, as it is not known what it used of its quota`)
				_, _ = open(t, m, "egress.b")
				m.save()
				if s.saves != 0 || m.Lost() == nil {
					t.Error("what can't be read was written over")
				}
				m.Renew()
				_, _ = open(t, m, "egress.a")
				if err := m.Close(); err != nil || m.Lost() != nil || s.saves != 1 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestUsageThatCantBeWrittenCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{save: errors.New("no space left")}
		m := New(s)
		m.Use(policyOf(network.Limits{}, rule("a", network.Limits{}, network.Quota{Egress: 1000})))
		f, _ := open(t, m, "egress.a")
		_ = take(t, f, Egress, 1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		refused(t, m, "egress.a", "egress.a.quota", "no space left")
		s.mu.Lock()
		s.save = nil
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, _ = open(t, m, "egress.a")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Both hold: the environment's limits and the rule's.
func TestBandwidthOfBoth(t *testing.T) {
	for _, c := range []struct{ all, rule, want int64 }{{8_000_000, 0, 1_000_000}, {0, 8_000_000, 1_000_000}, {4_000_000, 8_000_000, 500_000}, {8_000_000, 4_000_000, 500_000}} {
		synctest.Test(t, func(t *testing.T) {
			m := New(&memory{})
			m.Use(policyOf(network.Limits{Bandwidth: network.Bandwidth{Ingress: c.all}}, rule("a", network.Limits{Bandwidth: network.Bandwidth{Ingress: c.rule}}, network.Quota{})))
			f, _ := open(t, m, "egress.a")
			start, n := time.Now(), 0
			for time.Since(start) < 10*time.Second {
				_ = take(t, f, Ingress, f.Piece(Ingress))
				n += f.Piece(Ingress)
			}
			if got := float64(n) / 10; got < float64(c.want)*0.98 || got > float64(c.want)*1.02 {
				t.Errorf("%+v: %.0f B/s", c, got)
			}
			if d := count(m, "").Ingress.Waited + count(m, "egress.a").Ingress.Waited; d < 8*time.Second || d > 10100*time.Millisecond {
				t.Errorf("%+v: waited %v", c, d)
			}
		})
	}
}

// A flow goes to the rule that allows it now, with all that it does from then on.
func TestMove(t *testing.T) {
	m := New(&memory{})
	m.Use(policyOf(network.Limits{}, rule("a", network.Limits{}, network.Quota{}), rule("b", network.Limits{}, network.Quota{Egress: 10})))
	f, w := open(t, m, "egress.a")
	f.Move("egress.b")
	if err := take(t, f, Egress, 11); err == nil || w.wakes != 1 {
		t.Errorf("%v, %d wakes", err, w.wakes)
	}
	f.Move("egress.none")
	if err := take(t, f, Egress, 11); err != nil {
		t.Error(err)
	}
	f.Close()
	f.Move("egress.b")
	for _, c := range m.Snapshot() {
		if c.Open != 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestWaitEndsWithTheFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&memory{})
		m.Use(policyOf(network.Limits{Bandwidth: network.Bandwidth{Egress: 8000}}))
		f, _ := open(t, m, "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = f.Take(ctx, Egress, 100_000)
		if err := f.Take(ctx, Egress, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		f.Drop(Egress)
		if c := count(m, ""); c.Egress.Dropped != 1 || c.Egress.Slowed != 1 || c.Egress.Waited != time.Second {
			t.Errorf("%+v", c)
		}
	})
}
