package probes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
)

// A hello is a TLS ClientHello made by hand; RFC 8446 section 4.1.2. The token
// is its random, in the clear.
type hello struct {
	names   []string // of one server_name extension each; RFC 6066 section 3
	list    []string // names in one extension
	more    []byte   // further extensions
	records int      // split over so many
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
	exts = append(exts, extension(10, u16([]byte{0, 29}))...)                                              // x25519
	exts = append(exts, extension(13, u16([]byte{4, 3, 8, 4}))...)                                         // ecdsa_secp256r1_sha256
	exts = append(exts, extension(43, []byte{2, 3, 4})...)                                                 // TLS 1.3
	exts = append(exts, extension(51, u16(append([]byte{0, 29}, u16(bytes.Repeat([]byte{9}, 32))...)))...) // a key
	random := append([]byte(token), make([]byte, 32)...)[:32]
	body := append([]byte{3, 3}, random...)
	body = append(body, 0)                                      // no session
	body = append(body, u16([]byte{0x13, 0x01, 0xc0, 0x2b})...) // suites
	body = append(body, 1, 0)                                   // no compression
	body = append(body, u16(exts)...)
	msg := append([]byte{1, 0}, u16(body)...)
	return append(bytes.Clone(h.before), records(msg, max(1, h.records))...)
}

// records cuts a message into TLS records; RFC 8446 section 5.1.
func records(msg []byte, n int) []byte {
	var out []byte
	size := (len(msg) + n - 1) / n
	for len(msg) > 0 {
		part := msg[:min(size, len(msg))]
		out = append(append(out, 0x16, 3, 1), u16(part)...)
		msg = msg[len(part):]
	}
	return out
}

// greet sends a hello to a name's port, some bytes at a time. It got through if the server
// shakes hands.
func greet(name string, port, size int, h hello) func(Aim) error {
	return func(a Aim) error {
		c, err := reach(name, port)
		if err != nil {
			return err
		}
		var w net.Conn = c
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

// ech is an Encrypted ClientHello (RFC 9849) with the token where the inner hello would be.
func ech(inner string) []byte {
	b := []byte{0, 0, 1, 0, 1, 7}           // outer, HKDF-SHA256, AES-128-GCM, number 7
	b = append(b, u16(make([]byte, 32))...) // a key
	return extension(0xfe0d, append(b, u16([]byte(inner))...))
}
