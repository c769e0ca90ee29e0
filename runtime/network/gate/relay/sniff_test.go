package relay

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

// hello is what crypto/tls says first to a server of that name.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() //nolint:gosec // nobody answers
		_ = a.Close()
	}()
	buf := make([]byte, 16<<10)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	return buf[:n]
}

// records splits one handshake record into records of n bytes each.
func records(rec []byte, n int) []byte {
	var out []byte
	for body := rec[5:]; len(body) > 0; body = body[min(n, len(body)):] {
		part := body[:min(n, len(body))]
		out = append(out, rec[0], rec[1], rec[2], byte(len(part)>>8), byte(len(part)))
		out = append(out, part...)
	}
	return out
}

func TestReadHello(t *testing.T) {
	whole := hello(t, "good.example")
	for what, b := range map[string][]byte{"one record": whole, "many records": records(whole, 7), "with more behind": append(bytes.Clone(whole), "more"...)} {
		name, said, err := readHello(bytes.NewReader(b))
		if err != nil || name != "good.example" || !bytes.HasPrefix(b, said) || what != "many records" && len(said) != len(whole) {
			t.Errorf("%s: %q, %d of %d bytes, %v", what, name, len(said), len(b), err)
		}
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "cut short": whole[:len(whole)-1], "a plain word": []byte("GET / HTTP/1.1\r\n\r\n"),
		"SSLv2": {0x80, 0x2e, 1, 0, 2}, "endless": bytes.Repeat([]byte{0x16, 3, 1, 0, 1, 1}, maxHello),
		"a dot at the end": bytes.Replace(whole, []byte("good.example"), []byte("good.exampl."), 1),
		"two names":        twice(whole),
		"two messages":     inRecords(append(bytes.Clone(whole[5:]), hello(t, "evil.example")[5:]...), 200),
	} {
		if name, said, err := readHello(bytes.NewReader(b)); err == nil || len(said) > maxHello {
			t.Errorf("%s: %q, %d bytes, no error", what, name, len(said))
		}
	}
	if name, _, err := readHello(bytes.NewReader(hello(t, "192.0.2.1"))); err != nil || name != "" {
		t.Errorf("no name: %q, %v", name, err)
	}
}

// twice repeats the server_name extension of a ClientHello; RFC 8446 section
// 4.2 forbids that.
func twice(rec []byte) []byte {
	name := []byte("good.example")
	i := bytes.Index(rec, name) - 9 // type, length, list length, name type, name length
	ext := rec[i : i+9+len(name)]
	out := append(bytes.Clone(rec[:i]), ext...)
	out = append(out, rec[i:]...)
	for _, at := range []int{3, 7, extensionsAt(rec)} { // lengths of the record, the message, the extensions
		n := int(out[at])<<8 | int(out[at+1]) + len(ext)
		out[at], out[at+1] = byte(n>>8), byte(n)
	}
	return out
}

// extensionsAt is the place of the length of the extensions.
func extensionsAt(rec []byte) int {
	at := 5 + 4 + 2 + 32
	at += 1 + int(rec[at])                       // session id
	at += 2 + (int(rec[at])<<8 | int(rec[at+1])) // cipher suites
	return at + 1 + int(rec[at])                 // compression methods
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]protocol{
		"":                                 undecided,
		"\x16\x03\x01":                     tlsHello,
		"GET":                              undecided,
		"GET / HTTP/1.1":                   undecided,
		"GET / HTTP/1.1\r\n":               httpRequest,
		"GET /\r\n":                        httpRequest,
		"GET / http/1.0\n":                 httpRequest,
		"\r\n\r\nFOO / HTTP/1.1\n":         httpRequest,
		"GET\t/\tHTTP/1.1\n":               httpRequest,
		"PRI * HTTP/2.0\r\n":               http2Preface,
		"pri * http/2.0\r\n":               http2Preface,
		"SSH-2.0-OpenSSH_9.2\r\n":          something,
		"EHLO example\r\n":                 something,
		"*1\r\n$4\r\nPING\r\n":             something,
		"GETTER\n":                         something,
		"\x00\x00\x00\x08\x04\xd2\x16\x2f": something, // PostgreSQL
		"\x10\x0e\x00\x04MQTT":             something,
		strings.Repeat("a", 100):           undecided,
	} {
		if got := recognise([]byte(in)); got != want {
			t.Errorf("%.40q is %q, want %q", in, got, want)
		}
	}
}
