package gate

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/inside"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/state"
)

// uplink is an address of the host's; see netlab.
const uplink = "192.0.2.2"

// freeTCP is a port of the host's that nobody has.
func freeTCP(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// serveHost echoes at an address of the host.
func serveHost(t *testing.T, at string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return func() { _ = l.Close() }
}

// hostRule is for some of the host's own ports.
func hostRule(protocol string, ports ...uint16) network.Egress {
	return network.Egress{Name: "local", CIDRs: []string{"127.0.0.1/32", uplink + "/32"}, Ports: ports, Protocol: protocol}
}

func publishing(port uint16, at string) network.Policy {
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "api", Port: port, Publish: at}}
	return p
}

// at is a port of an address of the host's.
func at(host string, port uint16) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

func (s *sandbox) reaches(at string) error {
	s.Helper()
	c, err := s.dial("tcp", at)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return echoes(c, "hello")
}

// A rule for the host's address opens the host, and no other environment that publishes
// a port there: for that both must name each other.
func TestHostRuleOpensNoOtherEnvironment(t *testing.T) {
	for _, host := range []string{uplink, "0.0.0.0", "[::]"} {
		t.Run(host, func(t *testing.T) {
			port, other := freeTCP(t), freeTCP(t)
			s := up(t, hostRule("tcp", port, other))
			serveHost(t, at(uplink, other))
			b := s.neighbour("backend", publishing(8000, fmt.Sprintf("%s:%d", host, port)))
			b.serveInside(8000)
			if c, err := net.Dial("tcp", at(uplink, port)); err != nil || echoes(c, "hello") != nil {
				t.Fatalf("it isn't published: %v", err)
			}
			if err := s.reaches(at(uplink, other)); err != nil {
				t.Errorf("the host's own: %v", err)
			}
			if err := s.reaches(at(uplink, port)); err == nil {
				t.Error("reached what another environment publishes")
			}
			s.denied(at(uplink, port), `environments = ["backend"]`)
			s.denials(func(d denial.Denial) bool { return d.Port == port && d.Final && d.Rule == "local" })

			b.policy(policyOf())
			serveHost(t, at(uplink, port))
			if err := s.reaches(at(uplink, port)); err != nil {
				t.Errorf("the host's own, after it is published no more: %v", err)
			}
		})
	}
}

// Its own port it may reach there.
func TestHostRuleOpensWhatIsPublishedByItself(t *testing.T) {
	port := freeTCP(t)
	s := up(t)
	s.serveInside(8000)
	p := policyOf(hostRule("tcp", port))
	p.Ingress = publishing(8000, at(uplink, port)).Ingress
	s.policy(p)
	if err := s.reaches(at(uplink, port)); err != nil {
		t.Error(err)
	}
}

// Nor does a name that leads to the host.
func TestNamesLeadToNoOtherEnvironment(t *testing.T) {
	const name = "hosted.example"
	internet.names.Set(name, "127.0.0.1")
	port, other := freeTCP(t), freeTCP(t)
	s := up(t, hostRule("tcp", port, other), network.Egress{Name: "named", Domains: []string{name}, Ports: []uint16{port, other}})
	serveHost(t, at("127.0.0.1", other))
	b := s.neighbour("backend", publishing(8000, at("127.0.0.1", port)))
	b.serveInside(8000)
	reach := func(port uint16) error {
		c, err := s.connect(name, strconv.Itoa(int(port)))
		if err == nil {
			err = echoes(c, "\x00hello")
		}
		return err
	}
	if err := reach(other); err != nil {
		t.Errorf("the host's own: %v", err)
	}
	if err := reach(port); err == nil {
		t.Error("reached what another environment publishes")
	}
	s.denied(fmt.Sprintf("%s:%d", name, port), `environments = ["backend"]`)
}

// What was open before the port is published doesn't lead there afterwards.
func TestFlowsFromBeforeReachNoOtherEnvironment(t *testing.T) {
	port := netip.MustParseAddrPort(freeUDP(t)).Port()
	at := at(uplink, port)
	s := up(t, hostRule("udp", port))
	host, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := host.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = host.WriteTo(append([]byte("host:"), buf[:n]...), from)
		}
	}()
	c, err := s.dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	if got := askUDP(t, c, "x"); got != "host:x" {
		t.Fatalf("the host's own: %q", got)
	}
	_ = host.Close()
	p := publishing(8000, at)
	p.Ingress[0].Protocol = "udp"
	b := s.neighbour("backend", policyOf())
	b.udpInside("127.0.0.1:8000", "backend:")
	b.policy(p)
	if got := askUDP(t, c, "x"); got != "" {
		t.Errorf("reached what another environment publishes: %q", got)
	}
	s.denied(at, "over TCP only")
	outside, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	if got := askUDP(t, outside, "x"); got != "backend:x" {
		t.Errorf("who is no environment: %q", got)
	}
}

// Another project's environments are nobody's to name, and the sandbox doesn't hear of
// them.
func TestHostRuleOpensNoOtherProject(t *testing.T) {
	port := freeTCP(t)
	at := at(uplink, port)
	s := up(t, hostRule("tcp", port))
	env := state.NewEnv(t.TempDir(), "theirs", 0, 0)
	env.Run = filepath.Join(env.Project, "run")
	s.beside(env, publishing(8000, at)).serveInside(8000)
	if err := s.reaches(at); err == nil {
		t.Error("reached what another project publishes")
	}
	s.denied(at, "an environment of another project")
	text, err := os.ReadFile(inside.Path(s.env, denial.File))
	if err != nil || !strings.Contains(string(text), "that environments publish") || strings.Contains(string(text), "another project") || strings.Contains(string(text), `"allow"`) {
		t.Errorf("the sandbox is told %s, %v", text, err)
	}
}

// A port can be published at more or fewer addresses of the host: one socket can't be had
// beside the other. If the change fails, what was published is so again.
func TestPortIsPublishedAtOtherAddresses(t *testing.T) {
	port, taken := freeTCP(t), freeTCP(t)
	serveHost(t, at("127.0.0.1", taken))
	s := up(t)
	s.serveInside(8000)
	answers := func(host string) bool {
		c, err := net.Dial("tcp", at(host, port))
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		return echoes(c, "hello") == nil
	}
	for _, publish := range []string{"127.0.0.1", "0.0.0.0", "127.0.0.1", "::", "192.0.2.2"} {
		s.policy(publishing(8000, at(publish, port)))
		if got, want := answers(uplink), publish != "127.0.0.1"; got != want {
			t.Errorf("at %s: %s answers: %v", publish, uplink, got)
		}
		if got, want := answers("127.0.0.1"), publish != uplink; got != want {
			t.Errorf("at %s: 127.0.0.1 answers: %v", publish, got)
		}
	}
	for range 4 { // in whichever order
		p := publishing(8000, at("0.0.0.0", port))
		p.Ingress = append(p.Ingress, network.Ingress{Name: "taken", Port: 8001, Publish: at("127.0.0.1", taken)})
		err := s.host.Apply(t.Context(), s.env, plan.Change{Addr: network.PolicyAddr, To: attrs(p)})
		if err == nil || !strings.Contains(err.Error(), `ingress "taken"`) {
			t.Fatalf("a port that somebody has: %v", err)
		}
		if !answers(uplink) || answers("127.0.0.1") {
			t.Error("after an apply that failed it isn't as before")
		}
	}
}
