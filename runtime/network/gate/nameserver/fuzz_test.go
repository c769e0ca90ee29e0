package nameserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/hostname"
)

// FuzzAnswer: whatever a sandbox sends, it hears nothing that its name server may not
// say. The reply is read by another library than the one that writes it.
func FuzzAnswer(f *testing.F) {
	two := question("example.com.", dns.TypeA)
	two.Question = append(two.Question, two.Question[0])
	records := question("example.com.", dns.TypeA)
	records.Answer = []dns.RR{&dns.A{Hdr: header("example.com.", dns.TypeA, 1), A: []byte{192, 0, 2, 1}}}
	records.Ns = []dns.RR{&dns.TXT{Hdr: header("example.com.", dns.TypeTXT, 1), Txt: []string{"x"}}}
	options := question("eXample.com.", dns.TypeA).SetEdns0(512, true)
	options.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}, &dns.EDNS0_PADDING{Padding: make([]byte, 64)}}
	version := question("example.com.", dns.TypeA).SetEdns0(65535, false)
	version.IsEdns0().SetVersion(3)
	update := new(dns.Msg).SetUpdate("example.com.")
	for _, q := range []*dns.Msg{
		question("example.com.", dns.TypeA), question(`a\000.example.`, dns.TypeANY), question("other.example.", dns.TypeTXT),
		question("2.1.18.198.in-addr.arpa.", dns.TypePTR), question("example.com.", dns.TypeA).SetEdns0(1232, true),
		question("a.localhost.", dns.TypeAAAA), question("localhost.", dns.TypeA), question("example.com.", dns.TypeHTTPS), question(".", dns.TypeNS),
		question(strings.Repeat(strings.Repeat("a", 61)+".", 4), dns.TypeANY), two, records, options, version, update,
	} {
		p, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p, false)
		f.Add(p, true)
		f.Add(p[:len(p)/2], false)
	}
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), false) // a name that points to itself
	f.Fuzz(func(t *testing.T, p []byte, tcp bool) {
		from := Client{Proto: "udp"}
		if tcp {
			from.Proto = "tcp"
		}
		b := &book{}
		out := answer(b, bytes.Clone(p), from)
		if len(p) < 12 || p[2]&0x80 != 0 { // the QR bit: to answer an answer would go on for ever
			if out != nil || len(b.asked)+len(b.odd) > 0 {
				t.Errorf("answered %x: %x", p, out)
			}
			return
		}
		if len(b.asked)+len(b.odd) > 1 || slices.ContainsFunc(b.asked, func(n string) bool { is, ok := hostname.Normalize(n); return !ok || is != n }) {
			t.Errorf("one packet asks for %q %q", b.asked, b.odd)
		}
		if out == nil { // what was taken apart can't be written
			t.Errorf("no reply to %x", p)
			return
		}
		if len(out) > room(p, tcp) {
			t.Errorf("%d bytes to %x", len(out), p)
		}
		judge(t, p, out, b)
	})
}

// judge reads a reply strictly.
func judge(t *testing.T, query, out []byte, b *book) {
	t.Helper()
	fail := func(what string) { t.Helper(); t.Errorf("%s:\n%x\n%x", what, query, out) }
	var r dnsmessage.Message
	if err := r.Unpack(out); err != nil {
		// It reads no name with a dot in a label: that is refused, whatever was asked.
		if !strings.Contains(err.Error(), "invalid dns name") || len(b.asked) > 0 || !bytes.Equal(out[6:10], make([]byte, 4)) || !asked(query, out) {
			fail(err.Error())
		}
		return
	}
	again := new(dns.Msg)
	if err := again.Unpack(out); err != nil {
		fail(err.Error())
	}
	if binary.BigEndian.Uint16(out) != binary.BigEndian.Uint16(query) || !r.Response || out[2]>>3&15 != query[2]>>3&15 {
		fail("the reply to another message")
	}
	if len(r.Questions) > 1 || len(r.Answers) > 1 || len(r.Authorities) > 0 || len(r.Additionals) > 1 {
		fail("more than one question, answer and OPT record")
	}
	if len(r.Questions) == 1 && !asked(query, out) {
		fail("the question is another one")
	}
	for _, rr := range r.Additionals {
		opt, ok := rr.Body.(*dnsmessage.OPTResource)
		if !ok || len(opt.Options) > 0 {
			fail("something else than an empty OPT record")
		}
	}
	if len(r.Answers) == 0 {
		return
	}
	if len(r.Questions) == 0 || r.Answers[0].Header.Name != r.Questions[0].Name || r.Answers[0].Header.Class != dnsmessage.ClassINET || r.RCode != dnsmessage.RCodeSuccess {
		fail("an answer to nothing")
		return
	}
	judgeAnswer(fail, r.Answers[0], b)
}

// judgeAnswer allows the addresses that stand for names, and localhost's.
func judgeAnswer(fail func(string), rr dnsmessage.Resource, b *book) {
	name := strings.ToLower(strings.TrimSuffix(rr.Header.Name.String(), "."))
	local := name == "localhost" || strings.HasSuffix(name, ".localhost")
	switch body := rr.Body.(type) {
	case *dnsmessage.AResource:
		a := netip.AddrFrom4(body.A)
		switch {
		case local && a == netns.Loopback4:
		case local || !slices.Equal(b.asked, []string{name}):
			fail("an address for a name that was not looked up")
		case name == "example.com" != netns.Named.Contains(a), name == "example.com" == netns.Refused.Contains(a):
			fail("an address of the other kind")
		case netns.Refused.Contains(a) && rr.Header.TTL > ttlRefused:
			fail("a refusal that is remembered")
		}
	case *dnsmessage.AAAAResource:
		if !local || netip.AddrFrom16(body.AAAA) != netns.Loopback6 {
			fail("an IPv6 address")
		}
	case *dnsmessage.PTRResource:
		if name != "2.1.18.198.in-addr.arpa" || body.PTR.String() != "example.com." {
			fail("a name that is none")
		}
	default:
		fail("a record of another type")
	}
}

// asked reports whether the question of a reply is that of the query, to the letter, but
// for pointers in its name.
func asked(query, out []byte) bool {
	name, end := spelled(query, 12)
	return end > 0 && end+4 <= len(query) && bytes.HasPrefix(out[12:], append(name, query[end:end+4]...))
}

// spelled is a name of a message without pointers, and where it ends; 0 if there is none.
func spelled(b []byte, at int) (name []byte, end int) {
	for range len(b) {
		switch {
		case at >= len(b), b[at] < 64 && at+1+int(b[at]) > len(b), b[at] >= 192 && at+1 >= len(b):
			return nil, 0
		case b[at] >= 192:
			if end == 0 { // after the first pointer
				end = at + 2
			}
			at = int(binary.BigEndian.Uint16(b[at:]) & 0x3fff)
		case b[at] == 0:
			if end == 0 {
				end = at + 1
			}
			return append(name, 0), end
		case b[at] < 64:
			name = append(name, b[at:at+1+int(b[at])]...)
			at += 1 + int(b[at])
		default:
			return nil, 0
		}
	}
	return nil, 0
}

// room is how many bytes a client takes; RFC 1035 section 4.2.1, RFC 6891 section 6.2.3.
// Over TCP that is no bound, but nobody is to get much more than was sent.
func room(query []byte, tcp bool) int {
	q := new(dns.Msg)
	if tcp {
		return maxUDP + len(query)
	}
	if q.Unpack(query) != nil || q.IsEdns0() == nil {
		return maxUDP
	}
	return max(maxUDP, min(int(q.IsEdns0().UDPSize()), 1232))
}
