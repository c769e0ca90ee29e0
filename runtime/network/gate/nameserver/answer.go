// Package nameserver is a sandbox's only DNS server. It knows nothing of the
// world: it gives each allowed name a synthetic address, each other name a
// forbidden one, and sends no byte of a query anywhere. So a name server is no
// way out, whoever is asked and in whatever record type.
package nameserver

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"blast.example/blast/runtime/network/hostname"
)

// TTLs in seconds. They are short, as a rule may come or go at any time.
const (
	ttlNamed   = 30
	ttlRefused = 1
)

// maxUDP is the largest answer over UDP without EDNS; RFC 1035 section 4.2.1.
const maxUDP = 512

// An Answer is what is said about a name.
type Answer struct {
	Addr    netip.Addr // the synthetic address
	Refused bool       // no rule allows the name
}

// Book knows the names.
type Book interface {
	// Address answers a query for a record ("A", "AAAA") of a normalized name from a
	// client, and records it. An error is a failure of the server.
	Address(name, record string, from Client) (Answer, error)
	// Odd records a query for something that is no host name.
	Odd(name string, from Client)
	// Name is the name behind a synthetic address.
	Name(a netip.Addr) (string, bool)
}

// Client is the socket of a sandboxed process that asked.
type Client struct {
	Proto string // udp | tcp
	Addr  netip.AddrPort
}

// answer makes the reply to a packet; nil is none. It is safe for any packet.
func answer(book Book, packet []byte, from Client) []byte {
	q := new(dns.Msg)
	err := q.Unpack(packet)
	if len(packet) < 12 || q.Response {
		return nil // to answer an answer would go on for ever
	}
	r := new(dns.Msg)
	r.SetReply(&dns.Msg{MsgHdr: q.MsgHdr})
	r.RecursionAvailable = true
	if err != nil || q.Opcode == dns.OpcodeQuery && (len(q.Question) != 1 || cutOff(q.Question[0])) {
		r.Rcode = dns.RcodeFormatError
		return pack(r, nil, from)
	}
	if q.Opcode != dns.OpcodeQuery {
		r.Rcode = dns.RcodeNotImplemented
		return pack(r, nil, from)
	}
	r.Question = q.Question
	opt := q.IsEdns0()
	if opt != nil && opt.Version() != 0 {
		r.Rcode = dns.RcodeBadVers
		return pack(r, opt, from)
	}
	decide(book, r, q.Question[0], from)
	return pack(r, opt, from)
}

// cutOff reports whether a packet ended within its question: what was missing reads as
// type or class 0, which are reserved; RFC 6895 section 3.
func cutOff(q dns.Question) bool { return q.Qtype == 0 || q.Qclass == 0 }

// decide fills in the reply to one question.
func decide(book Book, r *dns.Msg, q dns.Question, from Client) {
	switch {
	case q.Qclass != dns.ClassINET,
		q.Qtype == dns.TypeAXFR, q.Qtype == dns.TypeIXFR, q.Qtype >= dns.TypeTKEY && q.Qtype <= dns.TypeTSIG:
		r.Rcode = dns.RcodeRefused
		return
	case q.Qtype == dns.TypePTR && inArpa(q.Name):
		reverse(book, r, q)
		return
	}
	name, ok := hostname.Normalize(q.Name)
	if !ok {
		book.Odd(q.Name, from)
		r.Rcode = dns.RcodeRefused
		return
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 section 6.3
		local(r, q)
		return
	}
	a, err := book.Address(name, dns.Type(q.Qtype).String(), from)
	if err != nil {
		r.Rcode = dns.RcodeServerFailure
		return
	}
	ttl := uint32(ttlNamed)
	if a.Refused {
		ttl = ttlRefused
	}
	if q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY { // else there is the name, but no such record
		r.Answer = append(r.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA, ttl), A: a.Addr.AsSlice()})
	}
}

func local(r *dns.Msg, q dns.Question) {
	switch q.Qtype {
	case dns.TypeA:
		r.Answer = append(r.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA, ttlNamed), A: []byte{127, 0, 0, 1}})
	case dns.TypeAAAA:
		r.Answer = append(r.Answer, &dns.AAAA{Hdr: header(q.Name, dns.TypeAAAA, ttlNamed), AAAA: netip.IPv6Loopback().AsSlice()})
	}
}

func inArpa(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".in-addr.arpa.") || strings.HasSuffix(name, ".ip6.arpa.")
}

// reverse answers for synthetic addresses; no other address has a name here.
func reverse(book Book, r *dns.Msg, q dns.Question) {
	if a, ok := fromArpa(strings.ToLower(q.Name)); ok {
		if name, ok := book.Name(a); ok {
			r.Answer = append(r.Answer, &dns.PTR{Hdr: header(q.Name, dns.TypePTR, ttlNamed), Ptr: dns.Fqdn(name)})
			return
		}
	}
	r.Rcode = dns.RcodeNameError
}

// fromArpa reads 4.3.2.1.in-addr.arpa.; RFC 1035 section 3.5.
func fromArpa(name string) (netip.Addr, bool) {
	digits, ok := strings.CutSuffix(name, ".in-addr.arpa.")
	if !ok {
		return netip.Addr{}, false
	}
	parts := strings.Split(digits, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
	return a, err == nil && a.Is4()
}

func header(name string, rtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: ttl}
}

// pack writes the reply, no longer than the client can take.
func pack(r *dns.Msg, opt *dns.OPT, from Client) []byte {
	size := maxUDP
	if opt != nil {
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		o.SetUDPSize(1232)
		if r.Rcode > 15 { // the upper bits are in the OPT record; RFC 6891 section 6.1.3
			o.SetExtendedRcode(uint16(r.Rcode))
		}
		r.Extra = append(r.Extra, o)
		size = max(size, min(int(opt.UDPSize()), 1232))
	}
	if from.Proto == "udp" {
		r.Truncate(size)
	}
	b, err := r.Pack()
	if err != nil {
		return nil
	}
	return b
}
