package upstream

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

// FuzzReadAnswer: whatever a name server says, what it takes for the addresses of a name
// are records of the type that was asked for, of that name or of one that is its alias
// in the same answer. They are read by another library, too.
func FuzzReadAnswer(f *testing.F) {
	for _, lines := range [][]string{
		{"one.example. 60 IN A 192.0.2.1"}, {"ONE.example. 7 IN A 192.0.2.1", "one.example. 3 IN A 192.0.2.2", "one.example. 3 IN A 192.0.2.2"},
		{"one.example. 9 IN CNAME two.example.", "two.example. 60 IN A 192.0.2.1"}, {"one.example. 60 IN CNAME two.example.", "two.example. 60 IN CNAME one.example."},
		{"one.example. 60 IN CNAME two.example.", "one.example. 60 IN CNAME three.example.", "three.example. 60 IN A 192.0.2.1", "two.example. 60 IN A 192.0.2.9"},
		{"two.example. 60 IN A 192.0.2.1"}, {"one.example. 60 IN AAAA ::ffff:127.0.0.1"}, {"one.example. 60 CH A 192.0.2.1"}, {"one.example. 0 IN A 192.0.2.1"},
		{"one.example. 60 IN TXT x", "one.example. 60 IN DNAME two.example."}, {},
	} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			in := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("one.example.", qtype))
			for _, line := range lines {
				rr, err := dns.NewRR(line)
				if err != nil {
					f.Fatal(err)
				}
				in.Answer = append(in.Answer, rr)
			}
			for _, compress := range []bool{true, false} {
				in.Compress = compress
				b, err := in.Pack()
				if err != nil {
					f.Fatal(err)
				}
				f.Add(b, qtype == dns.TypeAAAA)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		qtype, theirs := dns.TypeA, dnsmessage.TypeA
		if six {
			qtype, theirs = dns.TypeAAAA, dnsmessage.TypeAAAA
		}
		in := new(dns.Msg)
		if in.Unpack(b) != nil {
			return // the client doesn't take it
		}
		begun := time.Now()
		addrs, ttl, err := readAnswer(new(dns.Msg).SetQuestion("one.example.", qtype), in)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%d records took %v", len(in.Answer), took)
		}
		if len(addrs) > maxAddrs || ttl < 0 || ttl > maxTTL || (err == nil) != (len(addrs) > 0) {
			t.Fatalf("%v for %v, %v: %x", addrs, ttl, err, b)
		}
		if err == nil {
			judge(t, b, theirs, addrs, ttl)
		}
	})
}

// judge wants each address to be in the answer, for the name or an alias of it.
func judge(t *testing.T, b []byte, qtype dnsmessage.Type, addrs []netip.Addr, ttl time.Duration) {
	t.Helper()
	records, err := recordsOf(b, qtype)
	if err != nil {
		return // it reads fewer types and names
	}
	mine := map[string]bool{"one.example.": true}
	for range records { // aliases in any order
		for _, r := range records {
			if cname, ok := r.Body.(*dnsmessage.CNAMEResource); ok && mine[lower(r.Header.Name)] {
				mine[lower(cname.CNAME)] = true
			}
		}
	}
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		found := false
		for _, r := range records {
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				found = found || mine[lower(r.Header.Name)] && r.Header.Class == dnsmessage.ClassINET && netip.AddrFrom4(body.A) == a && uint32(ttl/time.Second) <= r.Header.TTL
			case *dnsmessage.AAAAResource:
				found = found || mine[lower(r.Header.Name)] && r.Header.Class == dnsmessage.ClassINET && netip.AddrFrom16(body.AAAA) == a && uint32(ttl/time.Second) <= r.Header.TTL
			}
		}
		if !found || seen[a] {
			t.Errorf("%v for %v is no answer, or twice: %x", a, ttl, b)
		}
		seen[a] = true
	}
}

// recordsOf lists the aliases and the addresses of a type that an answer has.
func recordsOf(b []byte, qtype dnsmessage.Type) (all []dnsmessage.Resource, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(b); err != nil {
		return nil, err
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, err
	}
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone { //nolint:errorlint // as its documentation has it
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Type != qtype && h.Type != dnsmessage.TypeCNAME {
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
			continue
		}
		r, err := p.Answer()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
}

func lower(n dnsmessage.Name) string { return strings.ToLower(n.String()) }
