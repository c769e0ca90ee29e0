package ping

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// requestPacket makes the packet that the kernel copies for an echo request.
func requestPacket(t testing.TB, src, dst string, data []byte) []byte {
	t.Helper()
	e := echo{src: netip.MustParseAddr(src), dst: netip.MustParseAddr(dst), id: 7, seq: 9, data: data}
	b, err := e.packet()
	if err != nil {
		t.Fatal(err)
	}
	at, kind := ipv4.HeaderLen, byte(ipv4.ICMPTypeEcho)
	if e.dst.Is6() {
		at, kind = ipv6.HeaderLen, byte(ipv6.ICMPTypeEchoRequest)
	}
	b[at] = kind
	return b
}

func TestParse(t *testing.T) {
	for _, ends := range [][2]string{{"10.0.2.100", "192.0.2.1"}, {"::1", "2001:db8::1"}} {
		b := requestPacket(t, ends[0], ends[1], []byte("data"))
		e, ok := parse(append(b, "trailing bytes of the frame"...))
		if !ok || e.src.String() != ends[0] || e.dst.String() != ends[1] || e.id != 7 || e.seq != 9 || string(e.data) != "data" {
			t.Errorf("%v: %+v, %v", ends, e, ok)
		}
		for n := range b {
			if e, ok := parse(b[:n]); ok && n < len(b) {
				t.Errorf("%v: %d of %d bytes are a request: %+v", ends, n, len(b), e)
			}
		}
	}
}

// What is no whole request is none: answers, errors, codes, fragments, options beyond the end.
func TestParseRefuses(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"answer":      func(b []byte) { b[20] = 0 },
		"unreachable": func(b []byte) { b[20] = 3 },
		"code":        func(b []byte) { b[21] = 1 },
		"more":        func(b []byte) { b[6] |= 0x20 },
		"offset":      func(b []byte) { b[7] = 1 },
		"long head":   func(b []byte) { b[0] = 0x4f },
		"short head":  func(b []byte) { b[0] = 0x44 },
		"no length":   func(b []byte) { b[2], b[3] = 0, 0 },
		"tcp":         func(b []byte) { b[9] = 6 },
		"version":     func(b []byte) { b[0] = 0x55 },
	} {
		b := requestPacket(t, "10.0.2.100", "192.0.2.1", nil)
		change(b)
		if e, ok := parse(b); ok {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(requestPacket(f, "10.0.2.100", "192.0.2.1", []byte("data")))
	f.Add(requestPacket(f, "::1", "2001:db8::1", []byte("data")))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parse(b)
		if !ok {
			return
		}
		if !e.src.IsValid() || !e.dst.IsValid() || !bytes.Contains(b, e.data) {
			t.Errorf("%+v of %x", e, b)
		}
	})
}
