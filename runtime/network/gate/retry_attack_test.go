package gate

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSecondHelloIsChecked: a server that takes no key of the first ClientHello asks for
// another, which may name another host.
func TestSecondHelloIsChecked(t *testing.T) {
	s := up(t, webRule(8444))
	c, err := s.connect("good.example", "8444")
	if err != nil {
		t.Fatal(err)
	}
	tc, err := s.tls(c, "good.example")
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	if got, err := get(tc, "good.example", "/retry"); err != nil || got != "https good.example /retry" {
		t.Fatalf("control: %q, %v", got, err)
	}
	if !tc.ConnectionState().HelloRetryRequest {
		t.Fatal("control: the server asked for no second hello")
	}
	if c, err = s.connect("good.example", "8444"); err != nil {
		t.Fatal(err)
	}
	_, err = s.tls(&renaming{Conn: c}, "good.example")
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want reset", err)
	}
	s.denied("good.example:8444", `names "evil.example"`)
}

// TestSecondHelloRightBehindTheFirst: a client that knows that it will be asked for a
// second hello may send it with the first, before anybody asks.
func TestSecondHelloRightBehindTheFirst(t *testing.T) {
	s := up(t, webRule(8444))
	c, err := s.connect("good.example", "8444")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.tls(&hasty{Conn: c}, "good.example")
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want reset", err)
	}
	s.denied("good.example:8444", `names "evil.example"`)
}

// hasty sends its first hello again with another name of the same length.
type hasty struct {
	net.Conn
	said bool
}

func (h *hasty) Write(b []byte) (int, error) {
	if !h.said {
		h.said = true
		b = append(bytes.Clone(b), bytes.ReplaceAll(b, []byte("good.example"), []byte("evil.example"))...)
	}
	return h.Conn.Write(b)
}

// renaming writes another name of the same length from the second write with the name on.
type renaming struct {
	net.Conn
	hellos int
}

func (r *renaming) Write(b []byte) (int, error) {
	const name, other = "good.example", "evil.example"
	for i := 0; i+len(name) <= len(b); i++ {
		if string(b[i:i+len(name)]) == name {
			if r.hellos++; r.hellos > 1 {
				b = append(append(append([]byte(nil), b[:i]...), other...), b[i+len(name):]...)
			}
			break
		}
	}
	return r.Conn.Write(b)
}
