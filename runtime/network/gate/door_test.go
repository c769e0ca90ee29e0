package gate

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/relay"
	"blast.example/blast/state"
)

// serveInside echoes at a port of the sandbox's loopback.
func (s *sandbox) serveInside(port uint16) {
	s.Helper()
	var l net.Listener
	if err := s.inside(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		return err
	}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
}

// neighbour is another environment of the same project, served by the same daemon.
func (s *sandbox) neighbour(name string, p network.Policy) *sandbox {
	s.Helper()
	env := state.NewEnv(s.env.Project, name, 0, 0)
	env.Run = s.env.Run + "-" + name
	return s.beside(env, p)
}

// beside is an environment of whichever project, served by the same daemon.
func (s *sandbox) beside(env state.Env, p network.Policy) *sandbox {
	s.Helper()
	env.Cgroup = ""
	n := &sandbox{s.TB, env, s.host}
	s.Cleanup(func() {
		n.host.end(env)
		if err := netns.Unpin(pinPath(env)); err != nil {
			s.Error(err)
		}
	})
	n.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	n.policy(p)
	return n
}

func backendRule() network.Egress {
	return network.Egress{Name: "api", Environments: []string{"backend"}, Ports: []uint16{8000}}
}

func backend(from ...string) network.Policy {
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "api", Port: 8000, Environments: from}}
	return p
}

func TestEnvironmentsBothSaySo(t *testing.T) {
	s := up(t, backendRule())
	s.serveInside(8000) // its own, which must not be what answers
	b := s.neighbour("backend", backend("default"))
	b.serveInside(8000)
	c, err := s.connect("backend.blast.internal", "8000")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "GET / HTTP/1.1\r\nHost: whatever.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}

	// The other side takes it back: what is open is cut, what is new refused.
	b.policy(backend("frontend"))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("goes on after the other side closed the port")
	}
	refusedBy := func(reason string) {
		t.Helper()
		if c, err := s.connect("backend.blast.internal", "8000"); err == nil {
			if err := echoes(c, "x"); err == nil {
				t.Errorf("reached, though %s", reason)
			}
		}
		s.denied("backend.blast.internal:8000", reason)
	}
	refusedBy(`no ingress rule of environment "backend" lets "default" in at port 8000`)
	b.apply(plan.Change{Addr: network.PolicyAddr, From: attrs(backend("frontend"))})
	refusedBy(`environment "backend" is not up`)
}

// This side takes it back.
func TestEnvironmentRuleIsNarrowed(t *testing.T) {
	s := up(t, backendRule())
	b := s.neighbour("backend", backend("default"))
	b.serveInside(8000)
	c, err := s.connect("backend.blast.internal", "8000")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "x"); err != nil {
		t.Fatal(err)
	}
	s.policy(policyOf())
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("goes on after the rule is gone")
	}
	g := s.host.gates[b.env.ID]
	if d := g.door("default", 8000); d == nil {
		t.Error("the door is gone with the visitor")
	}
}

// claimed notes where the environment's records are, as an apply does.
func (s *sandbox) claimed(lineage string) {
	s.Helper()
	if err := os.MkdirAll(s.env.Dir, 0o700); err != nil {
		s.Fatal(err)
	}
	if err := s.env.Claim(lineage, nil); err != nil {
		s.Fatal(err)
	}
}

// A project that was moved takes its environments with it. One that comes to its place
// has none of them.
func TestMovedProjectIsNotTheOneInItsPlace(t *testing.T) {
	s := up(t, backendRule())
	old := filepath.Join(s.env.Project, "project")
	s.env.Project, s.env.Dir = old, filepath.Join(old, ".blast", "default")
	s.claimed("one")
	s.host.end(s.env)
	s.policy(policyOf(backendRule()))
	b := s.neighbour("backend", backend("default"))
	b.claimed("two")
	b.serveInside(8000)
	reach := func(s *sandbox) error {
		t.Helper()
		c, err := s.connect("backend.blast.internal", "8000")
		if err == nil {
			err = echoes(c, "x")
		}
		return err
	}
	if err := reach(s); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, old+"-moved"); err != nil {
		t.Fatal(err)
	}
	env := state.NewEnv(old, "default", 0, 0)
	env.ID, env.Run = "0123456789ab", filepath.Join(t.TempDir(), "run")
	n := s.beside(env, policyOf(backendRule()))
	n.claimed("three")
	if err := reach(n); err == nil {
		t.Error("the one in its place reaches an environment of the one that was moved")
	}
	n.denied("backend.blast.internal:8000", `environment "backend" is not up`)
	if err := reach(s); err != nil {
		t.Errorf("the one that was moved reaches its own no more: %v", err)
	}
	if err := os.RemoveAll(old + "-moved"); err != nil {
		t.Fatal(err)
	}
	if err := reach(n); err == nil {
		t.Error("the one in its place reaches an environment of the one that is gone")
	}
	if err := reach(s); err == nil {
		t.Error("an environment whose project is gone has neighbours")
	}
}

// Names of environments are opened by no domain rule, wildcard or audit.
func TestEnvironmentsAreNoDomains(t *testing.T) {
	s := up(t, network.Egress{Name: "wild", Domains: []string{"*.internal", "*.blast.internal"}, Ports: []uint16{8000}})
	s.neighbour("backend", backend("default")).serveInside(8000)
	if a := s.lookup("backend.blast.internal"); !strings.HasPrefix(a, "198.19.") {
		t.Errorf("a wildcard names another environment: %s", a)
	}
	p := policyOf()
	p.Default = "audit"
	s.policy(p)
	if a := s.lookup("backend.blast.internal"); !strings.HasPrefix(a, "198.19.") {
		t.Errorf("audit names another environment: %s", a)
	}
	if _, err := s.host.enter(s.env)(context.Background(), "backend", 8001, relay.Guest{}); err == nil {
		t.Error("a port that isn't open to anybody is")
	}
}
