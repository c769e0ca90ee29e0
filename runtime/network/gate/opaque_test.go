package gate

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
)

func rawRule(opaque bool, ports ...uint16) network.Egress {
	return network.Egress{Name: "raw", Domains: []string{"good.example"}, Ports: ports, Opaque: opaque}
}

// What is said on a port of TLS must be TLS, unless the rule says protocol = "tcp".
func TestOpaqueRule(t *testing.T) {
	if err := internet.ServeEcho(web+":993", ""); err != nil {
		t.Fatal(err)
	}
	say := func(s *sandbox) error {
		c, err := s.connect("good.example", "993")
		if err != nil {
			return err
		}
		return echoes(c, "a001 LOGIN\r\n")
	}
	s := up(t, rawRule(false, 993))
	if err := say(s); err == nil {
		t.Error("no TLS on port 993 is let through")
	}
	s.denied("good.example:993", `unless the rule says protocol = "tcp"`)

	s.policy(policyOf(rawRule(true, 993)))
	if err := say(s); err != nil {
		t.Errorf("with the rule: %v", err)
	}

	// Checked again, live: what was never checked is cut.
	c, err := s.connect("good.example", "993")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "x"); err != nil {
		t.Fatal(err)
	}
	s.policy(policyOf(rawRule(false, 993)))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("goes on unchecked")
	}
}

// Text on a port of no fixed protocol may be a request of HTTP until its line ends. A
// line that doesn't is refused with what to write, and not held for long.
func TestLineWithoutAnEnd(t *testing.T) {
	s := up(t, rawRule(false, 7))
	connect := func() net.Conn {
		t.Helper()
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	_ = within(t, 6*time.Second, "a refusal", func() error {
		c := connect()
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Error(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 10)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%d bytes, %v", n, err)
		}
		return nil
	})
	s.denied("good.example:7", `protocol = "tcp"`)

	c := connect()
	if _, err := io.WriteString(c, "hel"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if _, err := io.WriteString(c, "lo\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello\n" {
		t.Errorf("a line in two pieces: %q, %v", got, err)
	}

	s.policy(policyOf(rawRule(true, 7)))
	if err := echoes(connect(), "hello"); err != nil {
		t.Errorf("with the rule: %v", err)
	}
}
