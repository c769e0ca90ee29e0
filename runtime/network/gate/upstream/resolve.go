// Package upstream looks up names and makes connections on behalf of a
// sandbox, from the host's network. No byte of the sandbox's own queries goes
// out: each query is built anew from the name that a rule allows.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of a lookup.
const (
	queryTimeout = 2 * time.Second // for one server
	maxAddrs     = 16              // taken from one answer
	maxAliases   = 16              // followed in one answer
	maxCached    = 1024            // names
	maxTTL       = 60 * time.Second
	minTTL       = time.Second
)

// System stands for the servers of the host's /etc/resolv.conf.
const System = "system"

// ErrNotFound is a name that has no address.
var ErrNotFound = errors.New("no such host")

// A Resolver asks a policy's name servers. It may be used by several goroutines.
type Resolver struct {
	servers []string // addr:port, or System

	mu     sync.Mutex
	cache  map[string]cached
	asking map[string]*answer // by name, while the servers are asked
}

// An answer is there when done is closed.
type answer struct {
	done  chan struct{}
	addrs []netip.Addr
	err   error
}

type cached struct {
	addrs   []netip.Addr
	expires time.Time
}

// NewResolver asks these servers in turn; none means System.
func NewResolver(servers []string) *Resolver {
	if len(servers) == 0 {
		servers = []string{System}
	}
	return &Resolver{servers: servers, cache: map[string]cached{}, asking: map[string]*answer{}}
}

// Lookup returns the addresses of a normalized name, IPv4 first. Whoever asks for a name
// that is asked for already waits for that answer: as many sockets as connections that
// wait for a name are more than the daemon counts on.
func (r *Resolver) Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	r.mu.Lock()
	if c, ok := r.cache[name]; ok && time.Now().Before(c.expires) {
		r.mu.Unlock()
		return c.addrs, nil
	}
	a := r.asking[name]
	if a == nil {
		a = &answer{done: make(chan struct{})}
		r.asking[name] = a
		go r.answer(context.WithoutCancel(ctx), name, a)
	}
	r.mu.Unlock()
	select {
	case <-a.done:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("look up %s: %w", name, ctx.Err())
	}
}

// answer asks, for all who wait, whoever of them goes.
func (r *Resolver) answer(ctx context.Context, name string, a *answer) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	a.addrs, a.err = r.lookup(ctx, name)
	r.mu.Lock()
	delete(r.asking, name)
	r.mu.Unlock()
	close(a.done)
}

func (r *Resolver) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	servers, err := r.expand()
	if err != nil {
		return nil, err
	}
	type result struct {
		addrs []netip.Addr
		ttl   time.Duration
		err   error
	}
	ask := func(qtype uint16, out chan<- result) {
		addrs, ttl, err := query(ctx, servers, name, qtype)
		out <- result{addrs, ttl, err}
	}
	four, six := make(chan result, 1), make(chan result, 1)
	go ask(dns.TypeA, four)
	go ask(dns.TypeAAAA, six)
	a, aaaa := <-four, <-six
	all := slices.Concat(a.addrs, aaaa.addrs)
	if len(all) == 0 {
		return nil, fmt.Errorf("look up %s: %w", name, cmpErr(a.err, aaaa.err))
	}
	r.keep(name, all, min(a.ttl, aaaa.ttl))
	return all, nil
}

// cmpErr prefers the error that says more than "no such host".
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return ErrNotFound
}

func (r *Resolver) keep(name string, addrs []netip.Addr, ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cache) >= maxCached {
		clear(r.cache)
	}
	r.cache[name] = cached{addrs, time.Now().Add(max(minTTL, min(ttl, maxTTL)))}
}

// expand replaces System by what resolv.conf says now; see resolv.conf(5).
func (r *Resolver) expand() ([]string, error) {
	var all []string
	for _, s := range r.servers {
		if s != System {
			all = append(all, s)
			continue
		}
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("read the host's name servers: %w", err)
		}
		for _, addr := range conf.Servers {
			ap, err := netip.ParseAddr(addr)
			if err == nil {
				all = append(all, netip.AddrPortFrom(ap, 53).String())
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the host has no name server")
	}
	return all, nil
}

// query asks server after server until one answers.
func query(ctx context.Context, servers []string, name string, qtype uint16) ([]netip.Addr, time.Duration, error) {
	var errs []error
	for _, s := range servers {
		addrs, ttl, err := exchange(ctx, s, name, qtype)
		if err == nil || errors.Is(err, ErrNotFound) {
			return addrs, ttl, err
		}
		errs = append(errs, fmt.Errorf("name server %s: %w", s, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, maxTTL, errors.Join(errs...)
}

func exchange(ctx context.Context, server, name string, qtype uint16) ([]netip.Addr, time.Duration, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.SetEdns0(1232, false)
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: queryTimeout}
		in, _, err := c.ExchangeContext(ctx, m, server)
		if err != nil {
			return nil, maxTTL, err
		}
		if in.Truncated && network == "udp" {
			continue
		}
		return readAnswer(m, in)
	}
	return nil, maxTTL, errors.New("answer is truncated over TCP")
}

// readAnswer follows the aliases within one answer. Records about other names, or of
// another type or class than was asked for, are not looked at.
func readAnswer(q, in *dns.Msg) ([]netip.Addr, time.Duration, error) {
	if len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, q.Question[0].Name) || in.Question[0].Qtype != q.Question[0].Qtype {
		return nil, maxTTL, errors.New("answer to another question")
	}
	switch in.Rcode {
	case dns.RcodeSuccess:
	case dns.RcodeNameError:
		return nil, maxTTL, ErrNotFound
	default:
		return nil, maxTTL, errors.New(strings.ToLower(dns.RcodeToString[in.Rcode]))
	}
	owner, ttl := strings.ToLower(q.Question[0].Name), uint32(maxTTL/time.Second)
	for range min(len(in.Answer), maxAliases) { // each pass follows one alias at most
		next := aliasOf(in.Answer, owner, &ttl)
		if next == "" {
			break
		}
		owner = next
	}
	var addrs []netip.Addr
	for _, rr := range in.Answer {
		a, ok := addrOf(rr)
		if ok && answers(rr, owner, q.Question[0].Qtype) && len(addrs) < maxAddrs && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
			ttl = min(ttl, rr.Header().Ttl)
		}
	}
	if len(addrs) == 0 {
		return nil, maxTTL, ErrNotFound
	}
	return addrs, time.Duration(ttl) * time.Second, nil
}

// answers reports whether a record is of an owner and a type.
func answers(rr dns.RR, owner string, rrtype uint16) bool {
	h := rr.Header()
	return h.Rrtype == rrtype && h.Class == dns.ClassINET && strings.EqualFold(h.Name, owner)
}

func aliasOf(rrs []dns.RR, owner string, ttl *uint32) string {
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok && answers(rr, owner, dns.TypeCNAME) {
			*ttl = min(*ttl, c.Hdr.Ttl)
			return strings.ToLower(c.Target)
		}
	}
	return ""
}

func addrOf(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(rr.A)
		return a.Unmap(), ok // a 4-byte address in Go's 16-byte form
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA.To16()) // a mapped address stays one, and is refused
	}
	return netip.Addr{}, false
}
