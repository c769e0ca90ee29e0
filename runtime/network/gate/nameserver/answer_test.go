package nameserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// book allows example.com and records what was asked.
type book struct{ asked, odd []string }

func (b *book) Address(name, _ string, _ Client) (Answer, error) {
	b.asked = append(b.asked, name)
	if name == "example.com" {
		return Answer{Addr: netip.MustParseAddr("198.18.1.2")}, nil
	}
	return Answer{Addr: netip.MustParseAddr("198.19.1.2"), Refused: true}, nil
}
func (b *book) Odd(name string, _ Client) { b.odd = append(b.odd, name) }
func (b *book) Name(a netip.Addr) (string, bool) {
	return "example.com", a == netip.MustParseAddr("198.18.1.2")
}

func ask(t *testing.T, b Book, q *dns.Msg, proto string) *dns.Msg {
	t.Helper()
	p, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out := answer(b, p, Client{Proto: proto})
	if out == nil {
		return nil
	}
	r := new(dns.Msg)
	if err := r.Unpack(out); err != nil {
		t.Fatal(err)
	}
	if r.Id != q.Id || !r.Response {
		t.Errorf("reply %+v to query %d", r.MsgHdr, q.Id)
	}
	return r
}

func question(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string // of the one answer; "" is none
	}{
		{"example.com.", dns.TypeA, dns.RcodeSuccess, "198.18.1.2"},
		{"EXAMPLE.com.", dns.TypeA, dns.RcodeSuccess, "198.18.1.2"},
		{"example.com.", dns.TypeANY, dns.RcodeSuccess, "198.18.1.2"},
		{"example.com.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"example.com.", dns.TypeHTTPS, dns.RcodeSuccess, ""},
		{"example.com.", dns.TypeSVCB, dns.RcodeSuccess, ""},
		{"example.com.", dns.TypeTXT, dns.RcodeSuccess, ""},
		{"example.com.", dns.TypeAXFR, dns.RcodeRefused, ""},
		{"other.example.", dns.TypeA, dns.RcodeSuccess, "198.19.1.2"},
		{"other.example.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"localhost.", dns.TypeA, dns.RcodeSuccess, "127.0.0.1"},
		{"localhost.", dns.TypeAAAA, dns.RcodeSuccess, "::1"},
		{"2.1.18.198.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "example.com."},
		{"8.8.8.8.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, ""},
		{"x.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, ""},
		{`example\000.com.`, dns.TypeA, dns.RcodeRefused, ""},
		{`exa\226\132\170ample.com.`, dns.TypeA, dns.RcodeRefused, ""},
		{`example\.com.`, dns.TypeA, dns.RcodeRefused, ""},
		{".", dns.TypeNS, dns.RcodeRefused, ""},
	} {
		r := ask(t, &book{}, question(c.name, c.qtype), "udp")
		var got string
		for _, rr := range r.Answer {
			got += strings.TrimPrefix(rr.String(), rr.Header().String())
		}
		if r.Rcode != c.rcode || got != c.want {
			t.Errorf("%s %s: %s %q, want %s %q", c.name, dns.TypeToString[c.qtype], dns.RcodeToString[r.Rcode], got, dns.RcodeToString[c.rcode], c.want)
		}
	}
}

func TestOddNamesAreRecorded(t *testing.T) {
	b := &book{}
	ask(t, b, question(`a\000b.example.`, dns.TypeA), "udp")
	if len(b.odd) != 1 || len(b.asked) != 0 {
		t.Errorf("odd %q, asked %q", b.odd, b.asked)
	}
}

func TestOtherThanQueries(t *testing.T) {
	q := question("example.com.", dns.TypeA)
	q.Opcode = dns.OpcodeUpdate
	if r := ask(t, &book{}, q, "udp"); r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("update: %v", r)
	}
	q = question("example.com.", dns.TypeA)
	q.Question[0].Qclass = dns.ClassCHAOS
	if r := ask(t, &book{}, q, "udp"); r.Rcode != dns.RcodeRefused {
		t.Errorf("chaos: %v", r)
	}
	q = question("example.com.", dns.TypeA)
	q.Question = append(q.Question, q.Question[0])
	if r := ask(t, &book{}, q, "udp"); r.Rcode != dns.RcodeFormatError {
		t.Errorf("two questions: %v", r)
	}
	for n := range 4 { // bytes of its type and class
		p, err := question("example.com.", dns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		r := new(dns.Msg)
		if err := r.Unpack(answer(&book{}, p[:len(p)-4+n], Client{Proto: "udp"})); err != nil || r.Rcode != dns.RcodeFormatError || len(r.Question) > 0 {
			t.Errorf("a question that is cut off: %v, %v", r, err)
		}
	}
	q = question("example.com.", dns.TypeA)
	q.Response = true
	if r := ask(t, &book{}, q, "udp"); r != nil {
		t.Errorf("an answer was answered: %v", r)
	}
	q = question("example.com.", dns.TypeA).SetEdns0(4096, false)
	q.IsEdns0().SetVersion(1)
	if r := ask(t, &book{}, q, "udp"); r.Rcode != dns.RcodeBadVers || r.IsEdns0() == nil {
		t.Errorf("EDNS version 1: %v", r)
	}
}
