package meter

import (
	"slices"
	"strings"
	"time"
)

// A Count is what the limits of one rule did since the gate was started.
type Count struct {
	Rule string `json:"rule"` // "egress.db", "ingress.web"; "" is the whole environment
	Open int    `json:"open"` // connections now

	RefusedMax   uint64 `json:"refused_max"`   // connections: too many open, or cut as there were
	RefusedRate  uint64 `json:"refused_rate"`  // connections: too many new
	RefusedQuota uint64 `json:"refused_quota"` // connections: refused, or cut

	Egress  Pace `json:"egress"`
	Ingress Pace `json:"ingress"`

	Again time.Time `json:"again,omitzero"` // when what the quota has used is forgotten
}

// A Pace is what was slowed in one direction.
type Pace struct {
	Slowed  uint64        `json:"slowed"`           // pieces that had to wait
	Waited  time.Duration `json:"waited"`           // ns, of all together
	Dropped uint64        `json:"dropped"`          // datagrams that would have had to wait too long
	Used    int64         `json:"used,omitempty"`   // bytes of the quota
	Budget  int64         `json:"budget,omitempty"` // bytes; 0: there is no quota
}

func (c *Count) pace(d Direction) *Pace {
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
		p := c.pace(d)
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
