package outward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// names answers every question for a name like "127-0-0-1.test." or "0--1.test." with that address.
func names(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		label, _, _ := strings.Cut(q.Question[0].Name, ".")
		h := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Ttl: 1}
		if a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", ".")); err == nil && q.Question[0].Qtype == dns.TypeA {
			h.Rrtype = dns.TypeA
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
		} else if a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", ":")); err == nil && q.Question[0].Qtype == dns.TypeAAAA {
			h.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = s.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// TestNamesThatLeadInward: whoever owns a name that a rule allows must not turn an
// installation into a request to the host or its cloud.
func TestNamesThatLeadInward(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := Dialer{Resolver: names(t)}
	for _, host := range []string{"127-0-0-1.test", "127-9-9-9.test", "169-254-169-254.test", "0-0-0-0.test", "100-100-100-200.test", "0--1.test", "0--0.test",
		"0--ffff-a9fe-a9fe.test", "fe80--1.test", "fd00-ec2--254.test", "64-ff9b--a9fe-a9fe.test", "224-0-0-1.test", "198-18-0-1.test"} {
		c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		var refused *RefusedError
		if c != nil || !errors.As(err, &refused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost"} { // it says so itself
		c, err := d.DialContext(t.Context(), "tcp4", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = c.Close()
	}
	for _, addr := range []string{"10.0.0.1:443", "192.168.1.1:443", "151.101.0.223:443", "[fd00::1]:443", "[2a04:4e42::223]:443"} {
		if err := check("a.test", addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
