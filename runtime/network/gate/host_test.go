package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/netns"
)

func recorded(s *sandbox) []denial.Denial {
	s.Helper()
	ds, _, err := denial.Read(filepath.Join(s.env.Run, denial.File), 0)
	if err != nil {
		s.Fatal(err)
	}
	return ds
}

func (s *sandbox) observe() map[string]string {
	s.Helper()
	objs, err := s.host.Observe(context.Background(), s.env)
	if err != nil {
		s.Fatal(err)
	}
	m := map[string]string{}
	for _, o := range objs {
		m[o.Addr] = string(o.Attrs)
	}
	return m
}

func (s *sandbox) commit(c plan.Change) {
	s.Helper()
	if err := s.host.Commit(context.Background(), s.env, c); err != nil {
		s.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestConformance(t *testing.T) {
	s := newSandbox(t)
	one := policyOf(webRule(443), network.Egress{Name: "db", CIDRs: []string{"10.20.0.0/16"}, Ports: []uint16{5432}})
	two := policyOf(webRule(80))
	two.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: freePort(t)}}
	ns := plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})}
	create := plan.Change{Addr: network.PolicyAddr, To: attrs(one)}
	update := plan.Change{Addr: network.PolicyAddr, From: create.To, To: attrs(two)}
	remove := plan.Change{Addr: network.PolicyAddr, From: update.To}
	nsRemove := ns.Reverse()

	nothing := map[string]string{}
	bare := map[string]string{network.NamespaceAddr: string(ns.To)}
	first := map[string]string{network.NamespaceAddr: string(ns.To), network.PolicyAddr: string(create.To)}
	last := map[string]string{network.NamespaceAddr: string(ns.To), network.PolicyAddr: string(update.To)}
	for _, step := range []struct {
		what          string
		c             plan.Change
		before, after map[string]string
	}{
		{"create namespace", ns, nothing, bare},
		{"create policy", create, bare, first},
		{"update policy", update, first, last},
		{"delete policy", remove, last, bare},
		{"delete namespace", nsRemove, bare, nothing},
	} {
		expect := func(when string, want map[string]string) {
			t.Helper()
			if d := cmp.Diff(want, s.observe()); d != "" {
				t.Fatalf("%s, %s: -want +got\n%s", step.what, when, d)
			}
		}
		expect("before", step.before)
		s.apply(step.c)
		expect("applied", step.after)
		s.apply(step.c)
		expect("applied twice", step.after)
		s.apply(step.c.Reverse())
		expect("reversed", step.before)
		s.apply(step.c.Reverse())
		s.commit(step.c.Reverse())
		expect("reversed and committed", step.before)
		s.apply(step.c)
		s.commit(step.c)
		s.commit(step.c)
		expect("applied and committed", step.after)
		if err := s.host.Sync(context.Background(), s.env); err != nil {
			t.Fatal(err)
		}
		expect("synced", step.after)
	}
	for _, name := range []string{"net", "net.old", "network.json", "names.json"} {
		if _, err := os.Lstat(filepath.Join(s.env.Run, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// TestUndoOfDeletionKeepsNamespace: processes in it must not be cut off.
func TestUndoOfDeletionKeepsNamespace(t *testing.T) {
	s := up(t, webRule(80))
	id := func() string {
		ns, err := netns.Open(pinPath(s.env))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ns.Close() }()
		id, err := netns.ID(ns)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	before := id()
	for _, c := range []plan.Change{
		{Addr: network.PolicyAddr, From: attrs(policyOf(webRule(80)))},
		{Addr: network.NamespaceAddr, From: attrs(network.Namespace{})},
	} {
		s.apply(c)
		defer s.commit(c.Reverse())
		defer s.apply(c.Reverse())
	}
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	s.policy(policyOf(webRule(80)))
	if after := id(); after != before {
		t.Errorf("%s became %s", before, after)
	}
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(c, "good.example", "/"); err != nil {
		t.Error(err)
	}
}

// TestHalfWay applies from what a kill at any point may leave.
func TestHalfWay(t *testing.T) {
	for what, leave := range map[string]func(*sandbox) error{
		"run folder": func(s *sandbox) error { return os.MkdirAll(s.env.Run, 0o700) },
		"mount point": func(s *sandbox) error {
			return errors.Join(os.MkdirAll(s.env.Run, 0o700), os.WriteFile(pinPath(s.env), nil, 0o600))
		},
		"empty namespace": func(s *sandbox) error {
			return errors.Join(os.MkdirAll(s.env.Run, 0o700), netns.Create(pinPath(s.env)))
		},
		"pinned twice": func(s *sandbox) error {
			return errors.Join(os.MkdirAll(s.env.Run, 0o700), netns.Create(pinPath(s.env)),
				os.WriteFile(keptPath(s.env), nil, 0o600), unix.Mount(pinPath(s.env), keptPath(s.env), "", unix.MS_BIND, ""))
		},
		"only the kept one": func(s *sandbox) error {
			return errors.Join(os.MkdirAll(s.env.Run, 0o700), netns.Create(keptPath(s.env)))
		},
	} {
		t.Run(what, func(t *testing.T) {
			for _, towards := range []string{"up", "down"} {
				s := newSandbox(t)
				if err := leave(s); err != nil {
					t.Fatal(err)
				}
				c := plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})}
				if towards == "down" {
					c = c.Reverse()
				}
				s.apply(c)
				s.commit(c)
				objs := s.observe()
				if _, there := objs[network.NamespaceAddr]; there != (towards == "up") || strings.Contains(objs[network.NamespaceAddr], "missing") {
					t.Errorf("%s: %v", towards, objs)
				}
				if _, err := os.Lstat(keptPath(s.env)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: kept namespace is left: %v", towards, err)
				}
			}
		})
	}
}

func TestObserveSeesTampering(t *testing.T) {
	for _, c := range []struct {
		cmd        []string
		addr, want string
	}{
		{[]string{"nft", "flush ruleset"}, network.PolicyAddr, "table inet blast is missing"},
		{[]string{"nft", "flush chain inet blast out"}, network.PolicyAddr, "is missing in chain out"},
		{[]string{"nft", "insert rule inet blast out accept"}, network.PolicyAddr, "unexpected rule 1"},
		{[]string{"ip", "route", "del", "default"}, network.NamespaceAddr, "route 0.0.0.0/0 dev 1 is missing"},
		{[]string{"ip", "addr", "del", "10.0.2.100/32", "dev", "lo"}, network.NamespaceAddr, "address 10.0.2.100/32 is missing"},
	} {
		t.Run(strings.Join(c.cmd, " "), func(t *testing.T) {
			s := up(t, webRule(80))
			want := s.observe()
			s.nsenter(c.cmd...)
			now := s.observe()
			if !strings.Contains(now[c.addr], c.want) {
				t.Fatalf("%s: %s; want %q", c.addr, now[c.addr], c.want)
			}
			s.apply(plan.Change{Addr: c.addr, From: []byte(now[c.addr]), To: []byte(want[c.addr])})
			if d := cmp.Diff(want, s.observe()); d != "" {
				t.Errorf("after mending: -want +got\n%s", d)
			}
		})
	}
}

// TestUpdateCutsFlows: what a policy no longer allows ends, what it allows goes on.
func TestUpdateCutsFlows(t *testing.T) {
	stay := network.Egress{Name: "db", CIDRs: []string{database + "/32"}, Ports: []uint16{5432}}
	s := up(t, webRule(7), stay, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}},
		network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"})
	kept, err := s.dial("tcp", database+":5432")
	if err != nil {
		t.Fatal(err)
	}
	named, err := s.connect("good.example", "7")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := s.dial("udp", web+":7000")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"kept": kept, "named": named, "raw": raw} {
		if err := echoes(c, "before\n"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := attemptOn(udp); err != nil {
		t.Fatalf("udp: %v", err)
	}
	s.policy(policyOf(stay))
	if err := echoes(kept, "after\n"); err != nil {
		t.Errorf("kept: %v", err)
	}
	for name, c := range map[string]net.Conn{"named": named, "raw": raw} {
		if err := atOnce(t, name, func() error { return echoes(c, "after\n") }); !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Errorf("%s: %v, want reset", name, err)
		}
	}
	if _, err := udp.Write([]byte("after")); !errors.Is(err, unix.EPERM) {
		t.Errorf("udp: %v, want EPERM", err)
	}
}

// TestUpdateUnderLoad: while one policy follows another no allowed connection
// fails and no refused one gets through.
func TestUpdateUnderLoad(t *testing.T) {
	stay := network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}}
	s := up(t, stay)
	stop, done := make(chan struct{}), make(chan error, 1)
	tried := 0
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			tried++
			err := s.inside(func() error {
				c, err := net.DialTimeout("tcp", web+":7", time.Second)
				if err != nil {
					return err
				}
				defer func() { _ = c.Close() }()
				if err := echoes(c, "x"); err != nil {
					return err
				}
				if c, err := net.DialTimeout("tcp", second+":7000", time.Second); !errors.Is(err, unix.ECONNREFUSED) {
					return fmt.Errorf("refused address: %v, %w", c, err)
				}
				return nil
			})
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range 60 {
		p := policyOf(stay)
		if i%2 == 0 {
			p = policyOf(webRule(80, 443), network.Egress{Name: "db", CIDRs: []string{"10.20.0.0/16"}, Ports: []uint16{5432}}, stay)
		}
		s.policy(p)
	}
	close(stop)
	if err := <-done; err != nil || tried < 10 {
		t.Errorf("after %d tries: %v", tried, err)
	}
}

func TestIngress(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	at := freePort(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: at}}
	s.policy(p)
	visit := func() error {
		c, err := net.DialTimeout("tcp", at, time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return echoes(c, "visit")
	}
	if err := visit(); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("without a server inside: %v, want reset", err)
	}
	var l net.Listener
	if err := s.inside(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:8000"); return err }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	if err := visit(); err != nil {
		t.Errorf("with a server: %v", err)
	}
	t.Run("conflict", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		q := policyOf(webRule(80))
		q.Ingress = []network.Ingress{{Name: "other", Port: 8001, Publish: freePort(t)}, {Name: "bad", Port: 8002, Publish: taken.Addr().String()}}
		c := plan.Change{Addr: network.PolicyAddr, From: attrs(p), To: attrs(q)}
		err = s.host.Apply(context.Background(), s.env, c)
		if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), `ingress "bad"`) {
			t.Errorf("%v", err)
		}
		s.apply(c.Reverse())
		if err := visit(); err != nil {
			t.Errorf("after the undo: %v", err)
		}
		if _, err := net.DialTimeout("tcp", q.Ingress[0].Publish, time.Second); err == nil {
			t.Error("a port of the failed apply is still published")
		}
		if got := s.observe()[network.PolicyAddr]; got != string(attrs(p)) {
			t.Errorf("observed %s", got)
		}
	})
	s.policy(policyOf())
	if err := visit(); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("no longer published: %v", err)
	}
}

// TestDaemonDiesAndComesBack: in between nothing gets out, afterwards the same
// names have the same addresses.
func TestDaemonDiesAndComesBack(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	p := policyOf(network.Egress{Name: "wild", Domains: []string{"*.example"}, Ports: []uint16{80}})
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: freePort(t)}}
	s.policy(p)
	addr := s.lookup("good.example")
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{addr + ":80", web + ":80", "8.8.8.8:53"} {
		if err := atOnce(t, a, func() error { return attempt(s, "tcp", a) }); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("without a daemon %s: %v, want refused", a, err)
		}
	}
	if err := attempt(s, "udp", "8.8.8.8:53"); err == nil {
		t.Error("without a daemon a name server answers")
	}

	s.host = New(slog.New(slog.DiscardHandler))
	if err := s.host.Sync(context.Background(), s.env); err != nil {
		t.Fatal(err)
	}
	c, err := s.dial("tcp", addr+":80") // without asking again
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(c, "good.example", "/back"); err != nil || got != "http good.example /back" {
		t.Errorf("%q, %v", got, err)
	}
	s.serveInside(8000)
	if c, err := net.Dial("tcp", p.Ingress[0].Publish); err != nil {
		t.Errorf("not published again: %v", err)
	} else {
		_ = c.Close()
	}
	if got := s.observe()[network.PolicyAddr]; got != string(attrs(p)) {
		t.Errorf("observed %s", got)
	}
}

// TestFlushedFilterLeavesNothing: without the packet filter there is no network.
func TestFlushedFilterLeavesNothing(t *testing.T) {
	s := up(t, webRule(80), network.Egress{Name: "wide", CIDRs: []string{"0.0.0.0/0"}, Ports: []uint16{80, 781}})
	addr := s.lookup("good.example")
	s.nsenter("nft", "flush ruleset")
	for _, a := range []string{addr + ":80", web + ":80", "127.0.0.1:781", "[::1]:781"} {
		err := s.inside(func() error {
			d := net.Dialer{Timeout: 300 * time.Millisecond} // nobody answers
			c, err := d.Dial("tcp", a)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			return attemptOn(c)
		})
		if err == nil {
			t.Errorf("%s went through", a)
		}
	}
}

func TestExpiredRuleIsClosed(t *testing.T) {
	old := webRule(80)
	old.Expires = time.Now().AddDate(0, 0, -1).Format(time.DateOnly)
	raw := network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}, Expires: old.Expires}
	s := up(t, old, raw)
	if a := s.lookup("good.example"); !strings.HasPrefix(a, "198.19.") {
		t.Errorf("good.example is %s", a)
	}
	s.denied("good.example", "expired after")
	if err := attempt(s, "tcp", web+":7"); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want reset", err)
	}
	s.denied(web+":7", "expired after")
}

func TestManyConnectionsAreBounded(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for i := range 1100 {
		var c net.Conn
		err := s.inside(func() (err error) { c, err = net.Dial("tcp", web+":7"); return err })
		if err == nil {
			open = append(open, c)
			err = echoes(c, "x")
		}
		if err != nil { // it may be reset before it is seen to be open
			if i != 1024 {
				t.Errorf("connection %d is refused", i)
			}
			s.denied(web+":7", "1024 connections are open")
			return
		}
	}
	t.Errorf("%d connections are open", len(open))
}

func TestCheck(t *testing.T) {
	h := New(slog.New(slog.DiscardHandler))
	s := newSandbox(t)
	good := plan.NewObject(network.PolicyAddr, policyOf(webRule(80)), nil)
	if ps, err := h.Check(context.Background(), s.env, []plan.Object{good}); err != nil || len(ps) != 0 {
		t.Errorf("%v, %v", ps, err)
	}
	bad := policyOf(webRule(80))
	bad.DNS = []string{"dns.example"}
	if ps, err := h.Check(context.Background(), s.env, []plan.Object{plan.NewObject(network.PolicyAddr, bad, nil)}); err != nil || len(ps) != 1 {
		t.Errorf("%v, %v", ps, err)
	}
}

func TestNothingIsLeft(t *testing.T) {
	before := descriptors(t)
	for range 3 {
		s := up(t, webRule(80))
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := get(c, "good.example", "/"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if err := s.host.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		now := descriptors(t)
		if now <= before+3 { // idle connections of the servers
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d descriptors became %d", before, now)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

func ExampleHost() {
	fmt.Print(ResolvConf)
	// Output: nameserver 10.0.2.100
}

// What the note of a policy says counts, however often it was read before.
func TestNoteIsReadAgain(t *testing.T) {
	s := up(t, webRule(80))
	seen := func() string {
		t.Helper()
		_ = s.observe()
		return s.observe()[network.PolicyAddr]
	}
	good := seen()
	if strings.Contains(good, "drift") {
		t.Fatalf("control: %s", good)
	}
	path := filepath.Join(s.env.Run, policyNote+".json")
	note, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(bytes.Replace(note, []byte("[80]"), []byte("[81]"), 1))
	if got := seen(); got == good || !strings.Contains(got, "[81]") {
		t.Errorf("a note of another port: %s", got)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, note, "", "  "); err != nil {
		t.Fatal(err)
	}
	put(pretty.Bytes())
	if got := seen(); got != good {
		t.Errorf("a note with white space: %s", got)
	}
	put([]byte("{"))
	if _, err := s.host.Observe(t.Context(), s.env); err == nil || !strings.Contains(err.Error(), policyNote+".json is damaged") {
		t.Errorf("half a note: %v", err)
	}
	put(note)
	if got := seen(); got != good {
		t.Errorf("the note again: %s", got)
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 2, 100, 1, 2, 3, 4, 0, 80, 1, 187})
	f.Add([]byte{0x4f, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 100, 1, 2, 3, 4})
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, make([]byte, 36)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parsePacket(b); ok && !p.dst.Addr().IsValid() {
			t.Errorf("%x: %+v", b, p)
		}
	})
}
