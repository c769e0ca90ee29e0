package meter

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"blast.example/blast/runtime/network"
)

// A Direction is which way bytes go, as the sandbox sees it.
type Direction int

// The two directions.
const (
	Egress  Direction = iota // leaves the sandbox
	Ingress                  // comes into it
)

// Other is the way back.
func (d Direction) Other() Direction { return 1 - d }

// String is the word of blast.hcl.
func (d Direction) String() string { return [...]string{"egress", "ingress"}[d] }

// A LimitError is a connection that a limit forbids, or ends.
type LimitError struct {
	Rule   string // "egress.db"; "" is the environment
	Limit  string // the item of the policy: "connections.max", "egress.db.quota.ingress"
	Reason string // with what to do
}

func (r *LimitError) Error() string { return r.Reason }

// A gauge holds one rule, or the whole environment, to its limits.
type gauge struct {
	name    string // "egress.db"; "" is the environment
	buckets [2]*bucket
	metered [2]atomic.Bool // that direction is slowed or counted

	// Of all flows together; Meters.mu guards these.
	limits network.Limits
	fresh  tokens
	flows  map[*Flow]struct{}

	mu    sync.Mutex
	quota network.Quota
	used  Used
	count Count
}

func newGauge(name string) *gauge {
	return &gauge{name: name, buckets: [2]*bucket{newBucket(), newBucket()}, flows: map[*Flow]struct{}{}, count: Count{Rule: name}}
}

// set changes the limits; Meters.mu is held.
func (g *gauge) set(l network.Limits, q network.Quota) {
	g.limits = l
	g.buckets[Egress].set(l.Bandwidth.Egress)
	g.buckets[Ingress].set(l.Bandwidth.Ingress)
	g.mu.Lock()
	g.quota = q
	g.mu.Unlock()
	g.metered[Egress].Store(l.Bandwidth.Egress != 0 || q.Egress != 0)
	g.metered[Ingress].Store(l.Bandwidth.Ingress != 0 || q.Ingress != 0)
}

// full says why no other connection may be open; nil if one may.
func (g *gauge) full(open, most int) *LimitError {
	if most == 0 || open < most {
		return nil
	}
	switch {
	case g.name != "" && g.limits.Connections.Max == 0: // a published port
		return &LimitError{g.name, g.name + ".connections.max", fmt.Sprintf("%s has %d visitors, the most there may be without a line: write connections { max = %d } in its block", spoken(g.name), open, 2*most)}
	case g.name != "":
		return &LimitError{g.name, g.name + ".connections.max", fmt.Sprintf("%s has %d connections open, the most that its connections.max allows: raise it, or close some", spoken(g.name), open)}
	case g.limits.Connections.Max == 0:
		return &LimitError{"", "connections.max", fmt.Sprintf("%d connections are open, the most there may be without a line: write connections { max = %d } in the network block", open, 2*most)}
	}
	return &LimitError{"", "connections.max", fmt.Sprintf("%d connections are open, the most that connections.max of the network block allows: raise it, or close some", open)}
}

// hasty says why no other connection may be new; nil if one may.
func (g *gauge) hasty(now time.Time) *LimitError {
	r := g.limits.Connections.Rate
	if g.fresh.ready(r.N, r.Per, now) {
		return nil
	}
	whose := "connections.rate of the network block"
	if g.name != "" {
		whose = "connections.rate of " + spoken(g.name)
	}
	return &LimitError{g.name, join(g.name, "connections.rate"), fmt.Sprintf("new connections come faster than %s allows (%s): raise it, or open fewer", whose, r)}
}

// exhausted says why the quota lets nothing through; nil if it does.
func (g *gauge) exhausted(now time.Time) *LimitError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, spent := g.used.spent(g.quota, now); spent {
		return g.used.refusal(g.name, g.quota, d)
	}
	return nil
}

// spend takes n bytes from the quota. An error means that it is used up.
func (g *gauge) spend(d Direction, n int) (counted bool, err *LimitError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.quota == (network.Quota{}) {
		return false, nil
	}
	now := time.Now()
	if _, spent := g.used.spent(g.quota, now); spent || !g.used.spend(g.quota, d, int64(n), now) {
		d, _ = g.used.spent(g.quota, now)
		g.count.RefusedQuota++
		return true, g.used.refusal(g.name, g.quota, d)
	}
	return true, nil
}

func (g *gauge) has(q bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return (g.quota != network.Quota{}) == q
}

// noted counts.
func (g *gauge) noted(f func(*Count)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.count)
}

// spoken is `egress "db"` of "egress.db".
func spoken(name string) string {
	kind, label, _ := strings.Cut(name, ".")
	return fmt.Sprintf("%s %q", kind, label)
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
