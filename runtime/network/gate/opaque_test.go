package gate

import (
	"testing"

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
