package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReadHello: the name that is compared with the rules is the only one that any
// server can read out of what is sent on, however it arrives and however it is cut
// into records. It wants -fuzzminimizetime 1x: the coverage of crypto/tls is not the
// same twice.
func FuzzReadHello(f *testing.F) {
	whole, other := hello(f, "good.example"), hello(f, "evil.example")
	warning := []byte{recordAlert, 3, 1, 0, 2, alertWarning, 112}
	for _, b := range [][]byte{
		whole, records(whole, 3), twice(whole), hello(f, "192.0.2.1"), whole[:len(whole)/2],
		bytes.Replace(whole, []byte("good.example"), []byte("good.exampl."), 1),
		bytes.Replace(whole, []byte("good.example"), []byte("good\x00xample"), 1),
		append(bytes.Clone(whole), other...), append(append(bytes.Clone(whole), recordChange, 3, 3, 0, 1, 1), other...),
		inRecords(append(bytes.Clone(whole[5:]), other[5:]...), 250), append(bytes.Clone(warning), whole...),
		append(append(records(whole, 100)[:105], warning...), records(whole, 100)[105:]...),
		tooMany(whole, 1), tooMany(whole, 0),
	} {
		f.Add(b, byte(7), false)
	}
	for _, b := range [][]byte{whole, twice(whole), hello(f, "192.0.2.1"), tooMany(whole, 1), tooMany(whole, 0)} {
		f.Add(b[extensionsAt(b)+2:], byte(7), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, size byte, extensions bool) {
		if extensions { // of a hello that is right else
			b = withExtensions(b[:min(len(b), 1<<14)], 1+int(size))
		}
		in := bytes.NewReader(b)
		name, said, err := readHello(in)
		rest, _ := io.ReadAll(in)
		if !bytes.Equal(append(bytes.Clone(said), rest...), b) || len(said) > maxHello || err != nil && name != "" {
			t.Fatalf("%q, %v, said %x, left %x of %x", name, err, said, rest, b)
		}
		slow, slowSaid, slowErr := readHello(iotest.OneByteReader(bytes.NewReader(b)))
		if slow != name || !bytes.Equal(said, slowSaid) || (err == nil) != (slowErr == nil) {
			t.Errorf("%q, %v at once, and %q, %v byte by byte: %x", name, err, slow, slowErr, b)
		}
		if err != nil {
			return
		}
		message, ok := messageOf(said)
		if !ok {
			t.Fatalf("more than one message is sent on: %x", said)
		}
		if names, ok := namesOf(message); !ok || strings.Join(names, " and ") != name {
			t.Errorf("%q is %q (%v) for another reader: %x", name, names, ok, said)
		}
		for _, again := range [][]byte{inRecords(message, 1+int(size)%255), append(inRecords(message, 255), said...)} {
			if got, _, err := readHello(bytes.NewReader(again)); len(again) <= maxHello && (err != nil || got != name) {
				t.Errorf("%q, and in other records %q, %v: %x", name, got, err, message)
			}
		}
	})
}

// withExtensions is a ClientHello with these extensions in records of some bytes.
func withExtensions(b []byte, size int) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 0x01, 1, 0) // no session, TLS_AES_128_GCM_SHA256, no compression
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(b))), b...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return records(append([]byte{recordHandshake, 3, 1, 0, 0}, message...), size)
}

// tooMany puts an entry of a type in front of the name in the server_name extension.
func tooMany(rec []byte, kind byte) []byte {
	entry := append([]byte{kind, 0, 12}, "evil.example"...)
	i := bytes.Index(rec, []byte("good.example")) - 3
	out := append(append(bytes.Clone(rec[:i]), entry...), rec[i:]...)
	for _, at := range []int{3, 7, extensionsAt(rec), i - 2, i - 4} { // record, message, extensions, list, extension
		binary.BigEndian.PutUint16(out[at:], binary.BigEndian.Uint16(out[at:])+uint16(len(entry)))
	}
	return out
}

// messageOf is the one handshake message of whole records; warnings may stand between.
func messageOf(said []byte) (message []byte, ok bool) {
	for len(said) > 0 {
		if len(said) < 5 || len(said) < 5+int(said[3])<<8+int(said[4]) {
			return nil, false
		}
		n := int(said[3])<<8 + int(said[4])
		if said[0] == 22 {
			message = append(message, said[5:5+n]...)
		} else if said[0] != 21 || n != 2 || said[5] != 1 {
			return nil, false
		}
		said = said[5+n:]
	}
	return message, len(message) >= 4 && message[0] == 1 && len(message)-4 == int(message[1])<<16+int(message[2])<<8+int(message[3])
}

// namesOf lists every host name of every server_name extension of a ClientHello, as
// RFC 8446 section 4.1.2 and RFC 6066 section 3 write them; none is "".
func namesOf(message []byte) (names []string, ok bool) {
	r := bite{message[4:], true}
	r.take(2 + 32)
	r.list(1)
	r.list(2)
	r.list(1)
	if len(r.b) == 0 {
		return nil, r.ok
	}
	extensions := bite{r.list(2), r.ok}
	if len(r.b) > 0 {
		return nil, false
	}
	for extensions.ok && len(extensions.b) > 0 {
		kind, body := extensions.take(2), extensions.list(2)
		if !bytes.Equal(kind, []byte{0, 0}) {
			continue
		}
		in := bite{body, true}
		entries := bite{in.list(2), in.ok}
		for entries.ok && len(entries.b) > 0 {
			if kind, name := entries.take(1), entries.list(2); len(kind) == 1 && kind[0] == 0 {
				names = append(names, string(name))
			}
		}
		extensions.ok = extensions.ok && entries.ok
	}
	return names, extensions.ok
}

// A bite takes vectors off the front of b; RFC 8446 section 3.4.
type bite struct {
	b  []byte
	ok bool
}

func (r *bite) take(n int) []byte {
	if r.ok = r.ok && n <= len(r.b); !r.ok {
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *bite) list(size int) []byte {
	n := 0
	for _, c := range r.take(size) {
		n = n<<8 + int(c)
	}
	return r.take(n)
}

func FuzzRecognise(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"), []byte("Host: a\r\n"))
	f.Fuzz(func(t *testing.T, b, more []byte) {
		// What was decided stays so, however the bytes arrive.
		if p := recognise(b); p != undecided && recognise(append(bytes.Clone(b), more...)) != p {
			t.Errorf("%q is %q, and %q with %q", b, p, recognise(append(bytes.Clone(b), more...)), more)
		}
	})
}

func FuzzDecodeFlow(f *testing.F) {
	f.Add([]byte("\x34\x00\x01\x80\x14\x00\x01\x80\x08\x00\x01\x00\x0a\x00\x02\x64\x08\x00\x02\x00\x5d\xb8\xd7\x0e\x1c\x00\x02\x80\x05\x00\x01\x00\x11\x00\x00\x00\x06\x00\x02\x00\xad\xbf\x00\x00\x06\x00\x03\x00\x1b\x58\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = decodeFlow(b) })
}

// FuzzServerHello: a server that asks for another ClientHello is noticed, however its
// message is cut into records, and all that it said goes on to the client.
func FuzzServerHello(f *testing.F) {
	retry := append([]byte{messageHello, 0, 0, 80, 3, 3}, retryRandom...)
	retry = append(retry, make([]byte, 46)...)
	warning, fatal := []byte{recordAlert, 3, 3, 0, 2, 1, 112}, []byte{recordAlert, 3, 3, 0, 2, 2, 40}
	for _, b := range [][]byte{
		inRecords(retry, 200), inRecords(retry, 3), append(bytes.Clone(warning), inRecords(retry, 200)...), fatal, inRecords(retry, 200)[:20],
		append(inRecords(retry, 200), recordChange, 3, 3, 0, 1, 1), append(bytes.Repeat(warning, 70), inRecords(retry, 200)...), []byte("HTTP/1.1 400 \r\n\r\n"), nil,
		inRecords(append([]byte{messageHello, 0, 0, 80, 3, 3}, bytes.Repeat([]byte{7}, 78)...), 200), append(inRecords(retry[:10], 200), append(bytes.Clone(warning), inRecords(retry[10:], 9)...)...),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		near, far := net.Pipe()
		go func() { _, _ = far.Write(b); _ = far.Close() }()
		said, asked, err := readAnswer(near)
		rest, _ := io.ReadAll(near)
		_ = near.Close()
		if err != nil || !bytes.Equal(append(bytes.Clone(said), rest...), b) {
			t.Fatalf("%v, said %x, left %x of %x", err, said, rest, b)
		}
		if want := asksAgain(b); asked != want {
			t.Errorf("asked %v, want %v: %x", asked, want, b)
		}
	})
}

// asksAgain reads the first message of a server, as a client does; warnings don't count,
// and after 64 records a client has lost its patience.
func asksAgain(b []byte) bool {
	var message []byte
	for range maxSkipped {
		if len(b) < 5 || len(b) < 5+int(b[3])<<8+int(b[4]) || len(message) >= 38 {
			break
		}
		body := b[5 : 5+int(b[3])<<8+int(b[4])]
		switch {
		case b[0] == 22 && len(body) <= 1<<14+256:
			message = append(message, body...)
		case b[0] != 21 || len(body) != 2 || body[0] != 1:
			return false
		}
		b = b[5+len(body):]
	}
	return len(message) >= 38 && message[0] == 2 && bytes.Equal(message[6:38], retryRandom)
}
