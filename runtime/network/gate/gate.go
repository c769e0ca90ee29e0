package gate

import (
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/names"
	"blast.example/blast/runtime/network/gate/nameserver"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/relay"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/gate/where"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
	"blast.example/blast/state"
)

// recheckEvery is how soon an expired rule ends the connections it allowed. New
// ones it refuses at once.
const recheckEvery = time.Minute

// A gate is the running half of one environment's network: its name server, its
// relays and the ports it publishes.
type gate struct {
	env   state.Env
	ns    *os.File
	nsID  string
	log   *slog.Logger
	rules atomic.Pointer[rules.Rules]

	names  *names.Table
	budget *names.Budget
	dns    *nameserver.Server
	relay  *relay.Relay
	meters *meter.Meters
	who    *who.Finder
	denied *denial.Log
	claims *where.Book
	book   *ledger.Ledger
	hands  *nft.Watch // of who changes the packet filter

	barriers barriers
	doors    doors
	others   way

	mu        sync.Mutex
	published map[string]publication // by socket on the host
	stop      []func()               // in the order of starting
}

// start begins to serve the namespace, which the gate then owns, by a policy.
// It publishes nothing yet.
func start(env state.Env, ns *os.File, p policy, others way, log *slog.Logger) (_ *gate, err error) {
	g := &gate{
		env: env, ns: ns, log: log, published: map[string]publication{}, doors: doors{all: map[doorKey]*relay.Door{}}, others: others,
		who: who.New(ns, env.Cgroup), budget: names.NewBudget(),
	}
	g.stop = append(g.stop, func() { _ = ns.Close() }, g.who.Close)
	defer func() {
		if err != nil {
			g.close(traffic.WithDaemon, "")
		}
	}()
	if g.nsID, err = netns.ID(ns); err != nil {
		return nil, err
	}
	g.rules.Store(p.rules)
	g.meters = meter.New(usage{env})
	g.meters.Use(p.Policy)
	g.stop = append(g.stop, g.closeMeters)
	if err = g.openBooks(); err != nil {
		return nil, err
	}
	if g.names, err = names.New(env.ID, store{env}); err != nil {
		return nil, err
	}
	g.stop = append(g.stop, g.closeNames)
	if err = g.serve(p); err != nil {
		return nil, err
	}
	for _, watch := range []func(*os.File) (func(), error){g.watchHands, g.watchFilter, g.relayPings} {
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
	s, err := netns.Listen(g.ns)
	if err != nil {
		return err
	}
	g.relay = relay.New(g.ns, g.names, g.relayed(p), g.meters, g.tell, g.book, denial.Choice(g.env.Name)...)
	g.dns = nameserver.New(book{g})
	g.stop = append(g.stop, s.Close, g.relay.Close, g.dns.Close)
	for _, c := range s.RelayUDP {
		if err := g.relay.ServeUDP(c); err != nil {
			return err
		}
	}
	for _, l := range s.RelayTCP {
		g.relay.ServeTCP(l)
	}
	for _, c := range s.DNSUDP {
		g.dns.ServeUDP(c)
	}
	for _, l := range s.DNSTCP {
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
	g.meters.Use(p.Policy) // first: no flow shall find a rule without its limits
	g.rules.Store(p.rules)
	g.relay.SetPolicy(g.relayed(p))
}

func (g *gate) relayed(p policy) relay.Policy {
	return relay.Policy{Rules: p.rules, Resolver: p.resolver, Enter: g.others.enter, Taken: g.others.taken}
}

// close ends everything, last begun first. how and reason are what other environments
// hear that came in.
func (g *gate) close(how, reason string) {
	if g.book != nil {
		g.book.Leave()
	}
	g.open(nil, how, reason)
	g.closePublished()
	for i := len(g.stop) - 1; i >= 0; i-- {
		g.stop[i]()
	}
}

func (g *gate) closePublished() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for socket, p := range g.published {
		p.Close(traffic.WithDaemon, "")
		g.withdrawn(socket)
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
