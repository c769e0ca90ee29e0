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

	journal *Journal

	mu    sync.Mutex
	zone  map[string][]netip.Addr
	alias map[string]string
	asked []string // "example.com. A"
	short bool     // answers over UDP are cut short
	hook  func(r *dns.Msg, q dns.Question) bool
}

// ServeNames starts a name server at addr:port, over UDP and TCP.
func (l *Lab) ServeNames(at string) (*NameServer, error) {
	n := &NameServer{Addr: at, journal: &l.Journal, zone: map[string][]netip.Addr{}, alias: map[string]string{}}
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

// ServeNamesTLS lets the server answer at addr:port over TLS, too; RFC 7858.
func (l *Lab) ServeNamesTLS(n *NameServer, at string) error {
	ln, err := l.listenTLS(at, nil, "dns.example")
	if err != nil {
		return err
	}
	l.serveDNS(&dns.Server{Listener: ln, Net: "tcp-tls", Handler: n})
	return nil
}

func (l *Lab) serveDNS(s *dns.Server) {
	started := make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	s.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // what is odd is looked at, too
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

// Hook is asked before the zone what to answer. It reports whether it did.
func (n *NameServer) Hook(f func(r *dns.Msg, q dns.Question) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = f
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
	if len(q.Question) > 0 {
		n.fill(r, q.Question[0], w.LocalAddr().Network() == "udp")
	}
	_ = w.WriteMsg(r)
}

func (n *NameServer) fill(r *dns.Msg, q dns.Question, udp bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := q.Name + " " + dns.TypeToString[q.Qtype]
	n.asked = append(n.asked, asked)
	_, _ = n.journal.Write([]byte("\nasked for " + asked + "\n"))
	if n.hook != nil && n.hook(r, q) {
		return
	}
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
