package meter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"blast.example/blast/runtime/network"
)

// A Store keeps what quotas have used over a restart of the daemon.
type Store interface {
	// Load returns what was saved last, by rule, or nothing if nothing was.
	Load() (map[string]Used, error)
	// Save replaces what was saved.
	Save(map[string]Used) error
}

// Meters are those of one environment. They may be used by several goroutines.
type Meters struct {
	store Store

	mu     sync.Mutex
	whole  *gauge
	rules  map[string]*gauge // "egress.db", "ingress.web"
	inside int               // flows that the sandbox opened
	seq    uint64
	kept   map[string]Used // of rules that are not there now, until Forget
	lost   error           // why it is not known what was used

	due    atomic.Bool // a save comes
	closed atomic.Bool
	saving sync.Mutex
	failed atomic.Pointer[error] // of the last save
}

// New returns the meters of an environment, without limits but the default ones.
// If the store can't be read, rules with a quota are closed: see Lost.
func New(store Store) *Meters {
	m := &Meters{store: store, whole: newGauge(""), rules: map[string]*gauge{}, kept: map[string]Used{}}
	used, err := store.Load()
	for rule, u := range used {
		if !u.sound() && err == nil {
			err = fmt.Errorf("%s has used less than nothing", rule)
		}
	}
	if m.lost = err; err == nil {
		maps.Copy(m.kept, used)
	}
	return m
}

// Lost says why rules with a quota are closed, if the store could not be read.
func (m *Meters) Lost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Renew begins all quotas anew, if it is not known what was used of them.
func (m *Meters) Renew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil {
		m.lost = nil
		m.touch()
	}
}

// Use goes by the limits of another policy: whoever waits does at the new pace. Of
// more connections than may be open now the youngest are cut. Rules that the policy
// doesn't have keep their limits until Drop.
func (m *Meters) Use(p network.Policy) {
	m.mu.Lock()
	surplus := map[*Flow]*LimitError{}
	set := func(g *gauge, l network.Limits, q network.Quota) {
		g.set(l, q)
		for _, f := range m.surplus(g) {
			surplus[f] = g.full(m.places(g, f.visitor))
			g.noted(func(c *Count) { c.RefusedMax++ })
		}
	}
	set(m.whole, p.Limits, network.Quota{})
	for _, e := range p.Egress {
		set(m.rule("egress."+e.Name), e.Limits, e.Quota)
	}
	for _, in := range p.Ingress {
		set(m.rule("ingress."+in.Name), in.Limits, network.Quota{})
	}
	flows := slices.Collect(maps.Keys(m.whole.flows))
	m.mu.Unlock()
	for f, why := range surplus {
		f.on.Cut(why)
	}
	for _, f := range flows {
		f.on.Wake()
	}
}

// rule is the gauge of a rule, with what was used before.
func (m *Meters) rule(name string) *gauge {
	g := m.rules[name]
	if g == nil {
		g = newGauge(name)
		g.used = m.kept[name]
		delete(m.kept, name)
		m.rules[name] = g
	}
	return g
}

// Drop lets go of the rules that the policy doesn't have. What they used is kept,
// for an undo, until Forget.
func (m *Meters) Drop(p network.Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := map[string]bool{}
	for _, e := range p.Egress {
		there["egress."+e.Name] = true
	}
	for _, in := range p.Ingress {
		there["ingress."+in.Name] = true
	}
	for name, g := range m.rules {
		if !there[name] {
			g.mu.Lock()
			if g.used != (Used{}) {
				m.kept[name] = g.used
			}
			g.mu.Unlock()
			delete(m.rules, name)
		}
	}
}

// Forget drops what was used by rules that are gone, or have no quota any more.
func (m *Meters) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.kept)
	for _, g := range m.rules {
		g.mu.Lock()
		if g.quota == (network.Quota{}) {
			g.used = Used{}
		}
		g.mu.Unlock()
	}
	m.touch()
}

// Open asks for a connection under a rule: "egress.db", or "" if none named it. An
// error is a *LimitError.
func (m *Meters) Open(rule string, on Events) (*Flow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &Flow{m: m, on: on, visitor: strings.HasPrefix(rule, "ingress.")}
	f.rule.Store(m.rules[rule])
	now := time.Now()
	for _, g := range f.gauges() {
		if why := m.refuses(g, f.visitor, now); why != nil {
			return nil, why
		}
	}
	for _, g := range f.gauges() {
		g.fresh.take()
		g.flows[f] = struct{}{}
	}
	m.seq++
	f.seq = m.seq
	if !f.visitor {
		m.inside++
	}
	return f, nil
}

// refuses says why a gauge has no place for another flow, and counts that.
func (m *Meters) refuses(g *gauge, visitor bool, now time.Time) *LimitError {
	open, most := m.places(g, visitor)
	if why := g.full(open, most); why != nil {
		g.noted(func(c *Count) { c.RefusedMax++ })
		return why
	}
	why := m.unknown(g)
	if why == nil {
		why = g.exhausted(now)
	}
	if why != nil {
		g.noted(func(c *Count) { c.RefusedQuota++ })
		return why
	}
	if why = g.hasty(now); why != nil {
		g.noted(func(c *Count) { c.RefusedRate++ })
	}
	return why
}

// places are how many flows count for a gauge, and how many may. Without a line
// visitors don't take away what the sandbox may open.
func (m *Meters) places(g *gauge, visitor bool) (open, most int) {
	switch most = g.limits.Connections.Max; {
	case most != 0:
		return len(g.flows), most
	case g == m.whole && !visitor:
		return m.inside, network.DefaultOpen
	case g != m.whole && visitor && m.whole.limits.Connections.Max == 0:
		return len(g.flows), network.DefaultOpen
	}
	return 0, 0
}

// surplus are the flows that are more than may be open: the youngest.
func (m *Meters) surplus(g *gauge) []*Flow {
	open, most := m.places(g, strings.HasPrefix(g.name, "ingress."))
	if most == 0 || open <= most {
		return nil
	}
	return youngest(g.flows, open-most, func(f *Flow) bool {
		return g != m.whole || g.limits.Connections.Max != 0 || !f.visitor
	})
}

// unknown says that a quota can't be kept, as what was used can't be read or written.
func (m *Meters) unknown(g *gauge) *LimitError {
	if g.has(false) {
		return nil
	}
	limit := g.name + ".quota"
	if m.lost != nil {
		return &LimitError{g.name, limit, fmt.Sprintf("%s is closed, as it is not known what it used of its quota (%v): blast apply begins it anew", spoken(g.name), m.lost)}
	}
	if err := m.failed.Load(); err != nil {
		return &LimitError{g.name, limit, fmt.Sprintf("%s is closed, as what it uses of its quota can't be noted (%v)", spoken(g.name), *err)}
	}
	return nil
}

// Full says why the sandbox may not have another connection besides n; nil if it may.
func (m *Meters) Full(n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	most := m.whole.limits.Connections.Max
	if most == 0 {
		most = network.DefaultOpen
	}
	if why := m.whole.full(n, most); why != nil {
		m.whole.noted(func(c *Count) { c.RefusedMax++ })
		return why
	}
	return nil
}

// end cuts all flows of a gauge but one, whose owner knows.
func (m *Meters) end(g *gauge, but *Flow, why *LimitError) {
	m.mu.Lock()
	flows := slices.Collect(maps.Keys(g.flows))
	m.mu.Unlock()
	for _, f := range flows {
		if f != but {
			g.noted(func(c *Count) { c.RefusedQuota++ })
			f.on.Cut(why)
		}
	}
}

// gauges are all; mu is held.
func (m *Meters) gauges() []*gauge {
	all := []*gauge{m.whole}
	for _, g := range m.rules {
		all = append(all, g)
	}
	return all
}

// saveGap is how long after a byte what was used is saved, and how long after a
// failure that is tried again.
const saveGap = time.Second

// touch has what was used saved, soon.
func (m *Meters) touch() {
	if !m.closed.Load() && m.due.CompareAndSwap(false, true) {
		time.AfterFunc(saveGap, func() {
			if !m.closed.Load() {
				m.save()
			}
		})
	}
}

func (m *Meters) save() {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.due.Store(false)
	m.mu.Lock()
	lost, all := m.lost, maps.Clone(m.kept)
	for name, g := range m.rules {
		g.mu.Lock()
		if g.used != (Used{}) {
			all[name] = g.used
		}
		g.mu.Unlock()
	}
	m.mu.Unlock()
	if lost != nil {
		return // what is there stays for a person to look at
	}
	if err := m.store.Save(all); err != nil {
		m.failed.Store(&err)
		m.touch()
		return
	}
	m.failed.Store(nil)
}

// Close saves what was used.
func (m *Meters) Close() error {
	if !m.closed.Swap(true) && (m.due.Load() || m.failed.Load() != nil) {
		m.save()
	}
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return nil
}
