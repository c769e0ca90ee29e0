package gate

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/names"
	"blast.example/blast/runtime/network/gate/nameserver"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/relay"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/state"
)

// recheckEvery is how soon an expired rule ends the connections it allowed. New
// ones it refuses at once.
const recheckEvery = time.Minute

// lookupsPerSecond bounds the search for processes, which takes milliseconds.
const lookupsPerSecond = 50

// A gate is the running half of one environment's network: its name server, its
// relays and the ports it publishes.
type gate struct {
	env   state.Env
	ns    *os.File
	nsID  string
	log   *slog.Logger
	rules atomic.Pointer[rules.Rules]

	names   *names.Table
	dns     *nameserver.Server
	relay   *relay.Relay
	who     *who.Finder
	lookups *rate.Limiter // of who
	denied  *denial.Log
	hands   *nft.Watch // of who changes the packet filter

	barriers barriers

	mu        sync.Mutex
	published map[string]*relay.Publication // by address on the host
	stop      []func()                      // in the order of starting
}

// start begins to serve the namespace, which the gate then owns, by a policy.
// It publishes nothing yet.
func start(env state.Env, ns *os.File, p policy, log *slog.Logger) (_ *gate, err error) {
	g := &gate{
		env: env, ns: ns, log: log, published: map[string]*relay.Publication{},
		who: who.New(ns, env.Cgroup), lookups: rate.NewLimiter(lookupsPerSecond, lookupsPerSecond),
	}
	g.stop = append(g.stop, func() { _ = ns.Close() })
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.nsID, err = netns.ID(ns); err != nil {
		return nil, err
	}
	g.rules.Store(p.rules)
	if g.denied, err = denial.Open(filepath.Join(env.Run, denial.File)); err != nil {
		return nil, err
	}
	g.stop = append(g.stop, func() { _ = g.denied.Close() })
	if g.names, err = names.New(env.ID, store{env}); err != nil {
		return nil, err
	}
	g.stop = append(g.stop, g.closeNames)
	if err = g.serve(p); err != nil {
		return nil, err
	}
	for _, watch := range []func(*os.File) (func(), error){g.watchHands, g.watchFilter} {
		unwatch, err := watch(ns)
		if err != nil {
			return nil, err
		}
		g.stop = append(g.stop, unwatch)
	}
	g.stop = append(g.stop, g.recheck())
	return g, nil
}

// serve makes the sockets and starts what answers on them.
func (g *gate) serve(p policy) error {
	s, err := listen(g.ns)
	if err != nil {
		return err
	}
	g.relay = relay.New(g.ns, g.names, relay.Policy{Rules: p.rules, Resolver: p.resolver}, g.tell)
	g.dns = nameserver.New(book{g})
	g.stop = append(g.stop, s.close, g.relay.Close, g.dns.Close)
	for _, c := range s.relayUDP {
		if err := g.relay.ServeUDP(c); err != nil {
			return err
		}
	}
	for _, l := range s.relayTCP {
		g.relay.ServeTCP(l)
	}
	for _, c := range s.dnsUDP {
		g.dns.ServeUDP(c)
	}
	for _, l := range s.dnsTCP {
		g.dns.ServeTCP(l)
	}
	return nil
}

// recheck ends connections whose rule has expired, until the returned function
// is called.
func (g *gate) recheck() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(recheckEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.relay.Recheck()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// use goes by another policy and ends the connections that it forbids.
func (g *gate) use(p policy) {
	g.rules.Store(p.rules)
	g.relay.SetPolicy(relay.Policy{Rules: p.rules, Resolver: p.resolver})
}

// publish takes the addresses on the host that want lists and are not held yet.
// If one can't be taken, none is.
func (g *gate) publish(want []network.Ingress) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := map[string]*relay.Publication{}
	for _, in := range want {
		if g.published[in.Publish] != nil || added[in.Publish] != nil {
			continue
		}
		p, err := relay.Publish(g.ns, in.Publish, in.Port)
		if err != nil {
			for _, a := range added {
				a.Close()
			}
			return fmt.Errorf("ingress %q: %w", in.Name, err)
		}
		added[in.Publish] = p
	}
	for addr, p := range added {
		g.published[addr] = p
	}
	return nil
}

// settle leads what is published where want says, and gives up what it does not list.
func (g *gate) settle(want []network.Ingress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	keep := map[string]bool{}
	for _, in := range want {
		keep[in.Publish] = true
		if p := g.published[in.Publish]; p != nil {
			p.Retarget(in.Port)
		}
	}
	for addr, p := range g.published {
		if !keep[addr] {
			p.Close()
			delete(g.published, addr)
		}
	}
}

// close ends everything, last begun first.
func (g *gate) close() {
	g.settle(nil)
	for i := len(g.stop) - 1; i >= 0; i-- {
		g.stop[i]()
	}
}

func (g *gate) closeNames() {
	if err := g.names.Close(); err != nil {
		g.log.Error("save names", "env", g.env.ID, "err", err)
	}
}

var _ relay.Names = (*names.Table)(nil)

// policy is network.Policy made ready.
type policy struct {
	network.Policy
	rules    *rules.Rules
	resolver *upstream.Resolver
}
