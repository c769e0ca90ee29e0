package netlab

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// A NameServer answers for the names it is told. It remembers what it was asked.
type NameServer struct {
	Addr string // addr:port

	mu    sync.Mutex
	zone  map[string][]netip.Addr
	alias map[string]string
	asked []string // "example.com. A"
	short bool     // answers over UDP are cut short
}

// ServeNames starts a name server at addr:port, over UDP and TCP.
func (l *Lab) ServeNames(at string) (*NameServer, error) {
	n := &NameServer{Addr: at, zone: map[string][]netip.Addr{}, alias: map[string]string{}}
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	pc, err := l.listenUDP(at)
	if err != nil {
		return nil, err
	}
	l.serveDNS(&dns.Server{Listener: ln, Handler: n})
	l.serveDNS(&dns.Server{PacketConn: pc, Handler: n})
	return n, nil
}

func (l *Lab) serveDNS(s *dns.Server) {
	started := make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	l.wg.Go(func() { _ = s.ActivateAndServe() })
	<-started
}

// Set says what a name leads to, from now on.
func (n *NameServer) Set(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone[dns.Fqdn(name)] = nil
	for _, a := range addrs {
		n.zone[dns.Fqdn(name)] = append(n.zone[dns.Fqdn(name)], netip.MustParseAddr(a))
	}
}

// Alias makes name a CNAME of target.
func (n *NameServer) Alias(name, target string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alias[dns.Fqdn(name)] = dns.Fqdn(target)
}

// CutShort makes the server set TC on each answer over UDP, so that clients
// come again over TCP.
func (n *NameServer) CutShort() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.short = true
}

// Asked returns the questions so far, "example.com. A".
func (n *NameServer) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

// ServeDNS implements dns.Handler.
func (n *NameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	r := new(dns.Msg).SetReply(q)
	if len(q.Question) == 1 {
		n.fill(r, q.Question[0], w.LocalAddr().Network() == "udp")
	}
	_ = w.WriteMsg(r)
}

func (n *NameServer) fill(r *dns.Msg, q dns.Question, udp bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, q.Name+" "+dns.TypeToString[q.Qtype])
	if n.short && udp {
		r.Truncated = true
		return
	}
	owner := strings.ToLower(q.Name)
	if target, ok := n.alias[owner]; ok {
		r.Answer = append(r.Answer, &dns.CNAME{Hdr: head(owner, dns.TypeCNAME), Target: target})
		owner = target
	}
	addrs, ok := n.zone[owner]
	if !ok {
		r.Rcode = dns.RcodeNameError
		return
	}
	for _, a := range addrs {
		switch {
		case q.Qtype == dns.TypeA && a.Is4():
			r.Answer = append(r.Answer, &dns.A{Hdr: head(owner, dns.TypeA), A: net.IP(a.AsSlice())})
		case q.Qtype == dns.TypeAAAA && a.Is6():
			r.Answer = append(r.Answer, &dns.AAAA{Hdr: head(owner, dns.TypeAAAA), AAAA: net.IP(a.AsSlice())})
		}
	}
}

func head(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: 1}
}
