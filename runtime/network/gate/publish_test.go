package gate

import (
	"net"
	"testing"
	"time"

	"blast.example/blast/runtime/network"
)

// udpInside echoes packets at a port of the sandbox's loopback, with a prefix.
func (s *sandbox) udpInside(addr, prefix string) {
	s.Helper()
	var c net.PacketConn
	if err := s.inside(func() (err error) { c, err = net.ListenPacket("udp", addr); return err }); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(append([]byte(prefix), buf[:n]...), from)
		}
	}()
}

func freeUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().String()
}

// askUDP sends a packet until an answer comes: UDP may be lost.
func askUDP(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	buf := make([]byte, 65536)
	for range 30 {
		if _, err := c.Write([]byte(text)); err != nil {
			continue // nobody listens yet
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := c.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

func TestPublishUDP(t *testing.T) {
	s := up(t)
	s.udpInside("127.0.0.1:8000", "a:")
	s.udpInside("127.0.0.1:8001", "b:")
	at := freeUDP(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "dns", Port: 8000, Publish: at, Protocol: "udp"}}
	s.policy(p)
	var cs []net.Conn
	for range 3 { // each visitor gets its own answers
		c, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		cs = append(cs, c)
	}
	for i, c := range cs {
		text := string(rune('x' + i))
		if got := askUDP(t, c, text); got != "a:"+text {
			t.Errorf("visitor %d: %q", i, got)
		}
	}
	p.Ingress[0].Port = 8001 // live
	s.policy(p)
	if got := askUDP(t, cs[0], "y"); got != "b:y" {
		t.Errorf("after the port changed: %q", got)
	}
	s.policy(policyOf())
	if got := askUDP(t, cs[0], "z"); got != "" {
		t.Errorf("after it was taken back: %q", got)
	}
	if c, err := net.ListenPacket("udp", at); err != nil {
		t.Errorf("the host's port is not free again: %v", err)
	} else {
		_ = c.Close()
	}
}

// The same number may be published for TCP and UDP.
func TestPublishBothProtocols(t *testing.T) {
	s := up(t)
	s.serveInside(8000)
	s.udpInside("127.0.0.1:8000", "")
	at := freePort(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "t", Port: 8000, Publish: at}, {Name: "u", Port: 8000, Publish: at, Protocol: "udp"}}
	s.policy(p)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := echoes(c, "hello"); err != nil {
		t.Error(err)
	}
	u, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	if got := askUDP(t, u, "hello"); got != "hello" {
		t.Errorf("over UDP: %q", got)
	}
}
