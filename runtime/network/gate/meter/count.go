package meter

import (
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/network/traffic"
)

// A Count is what the limits of one rule did since the gate was started.
type Count = traffic.Limits

func pace(c *Count, d Direction) *traffic.Pace {
	if d == Egress {
		return &c.Egress
	}
	return &c.Ingress
}

// waited is below what nobody would call waiting.
const noWait = 100 * time.Microsecond

func (g *gauge) slowed(d Direction, waited time.Duration) {
	if waited < noWait {
		return
	}
	g.noted(func(c *Count) {
		p := pace(c, d)
		p.Slowed++
		p.Waited += waited
	})
}

// Snapshot counts the environment, which comes first, and each rule that has
// limits or connections, by name.
func (m *Meters) Snapshot() []Count {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Count
	for _, g := range m.gauges() {
		all = append(all, g.snapshot(time.Now()))
	}
	slices.SortFunc(all, func(a, b Count) int { return strings.Compare(a.Rule, b.Rule) })
	return all
}

func (g *gauge) snapshot(now time.Time) Count {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used.renew(g.quota, now)
	c := g.count
	c.Open = len(g.flows)
	c.Egress.Used, c.Egress.Budget = g.used.Egress, g.quota.Egress
	c.Ingress.Used, c.Ingress.Budget = g.used.Ingress, g.quota.Ingress
	c.Again = g.used.again(g.quota)
	return c
}
