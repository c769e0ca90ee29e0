package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/netlab"
)

// The internet of these tests. Both web hosts share one address.
const (
	resolver = "9.9.9.9:53"
	web      = "93.184.215.14"
	banner   = "93.184.215.15"
	second   = "93.184.215.16"
	metadata = "169.254.169.254"
	database = "10.20.0.5"
	six      = "2606:2800:220:1::1"
)

var internet struct {
	*netlab.Lab
	names       *netlab.NameServer
	https, http *netlab.Web
	meta        *netlab.Web
	bulk        *netlab.Bulk
}

func TestMain(m *testing.M) {
	os.Exit(netlab.Main(func() int {
		if os.Geteuid() == 0 {
			if err := build(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer internet.Close()
		}
		return m.Run()
	}))
}

func build() error {
	lab, err := netlab.New()
	if err != nil {
		return err
	}
	internet.Lab = lab
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	internet.names, err = lab.ServeNames(resolver)
	note(err)
	internet.https, err = lab.ServeTLS(web+":443", "good.example", "sub.wild.example", "wild.example", "other.example")
	note(err)
	internet.http, err = lab.ServeHTTP(web + ":80")
	note(err)
	_, err = lab.ServeHTTP(web + ":8080")
	note(err)
	_, err = lab.ServeTLS(web+":8443", "good.example", "other.example")
	note(err)
	_, err = lab.ServeTLSRetry(web+":8444", "good.example")
	note(err)
	internet.meta, err = lab.ServeHTTP(metadata + ":80")
	note(err)
	note(lab.ServeEcho(web+":7", ""))
	internet.bulk, err = lab.ServeBulk(web + ":9")
	note(err)
	note(lab.ServeEcho(banner+":25", "220 hello\r\n"))
	note(lab.ServeEcho(database+":5432", ""))
	note(lab.ServeEcho("["+six+"]:7", ""))
	_, err = lab.ServeHTTP("[" + six + "]:80")
	note(err)
	for _, at := range []string{web + ":7000", second + ":7000", "[" + six + "]:7000"} {
		note(lab.ServeUDPEcho(at))
	}
	for _, n := range []string{"good.example", "other.example", "wild.example", "sub.wild.example", "banner.example"} {
		internet.names.Set(n, web)
	}
	internet.names.Set("mail.example", banner)
	internet.names.Set("six.example", six)
	return errors.Join(errs...)
}

// A sandbox is an environment with its network up, and no process in it but
// those of the test.
type sandbox struct {
	testing.TB
	env  state.Env
	host *Host
}

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	env := state.NewEnv(t.TempDir(), "default", 0, 0)
	env.Run = filepath.Join(env.Project, "run")
	env.Cgroup = "" // the processes of a test are found by their namespace
	s := &sandbox{t, env, New(slog.New(slog.DiscardHandler))}
	t.Cleanup(func() {
		if err := s.host.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range []string{pinPath(env), keptPath(env)} {
			if err := netns.Unpin(p); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// up brings a sandbox up with a policy.
func up(t testing.TB, es ...network.Egress) *sandbox {
	t.Helper()
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	s.policy(policyOf(es...))
	return s
}

func policyOf(es ...network.Egress) network.Policy {
	for i := range es {
		if es[i].Protocol == "" {
			es[i].Protocol = "tcp"
		}
		if es[i].During == nil {
			es[i].During = []string{"apply", "run"}
		}
	}
	return network.Policy{Default: "deny", DNS: []string{resolver}, Egress: es}
}

func attrs(v any) []byte { return plan.NewObject("x", v, nil).Attrs }

func (s *sandbox) apply(c plan.Change) {
	s.Helper()
	if err := s.host.Apply(context.Background(), s.env, c); err != nil {
		s.Fatalf("apply %s: %v", c.Addr, err)
	}
}

func (s *sandbox) policy(p network.Policy) {
	s.Helper()
	s.apply(plan.Change{Addr: network.PolicyAddr, To: attrs(p)})
}

// inside runs f in the sandbox's namespace.
func (s *sandbox) inside(f func() error) error {
	ns, err := netns.Open(pinPath(s.env))
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return netns.Do(ns, f)
}

// mustDial is dial in a benchmark, which closes what it opens.
func (s *sandbox) mustDial(addr string) net.Conn {
	s.Helper()
	var c net.Conn
	if err := s.inside(func() (err error) { c, err = net.Dial("tcp", addr); return err }); err != nil {
		s.Fatal(err)
	}
	return c
}

// dial connects from inside to an address, not a name.
func (s *sandbox) dial(network, addr string) (net.Conn, error) {
	var c net.Conn
	err := s.inside(func() (err error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		c, err = d.Dial(network, addr)
		return err
	})
	if err == nil {
		s.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// lookup asks the gate as a process would.
func (s *sandbox) lookup(name string) string {
	s.Helper()
	addrs, err := s.resolver("udp").LookupHost(context.Background(), name+".")
	if err != nil || len(addrs) == 0 {
		s.Fatalf("look up %s: %v", name, err)
	}
	return addrs[0]
}

func (s *sandbox) resolver(network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return s.dial(network, "8.8.8.8:53") // any server is the gate
	}}
}

// connect looks the name up and connects to the port.
func (s *sandbox) connect(name, port string) (net.Conn, error) {
	s.Helper()
	c, err := s.dial("tcp", net.JoinHostPort(s.lookup(name), port))
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	}
	return c, err
}

// python runs a script inside, and returns what it prints.
func (s *sandbox) python(script string) string {
	s.Helper()
	cmd := exec.Command("nsenter", "--net="+pinPath(s.env), "python3", "-c", script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// denials returns what was recorded and fits. It waits for what the packet
// filter logs, which comes a moment after the refusal.
func (s *sandbox) denials(fits func(denial.Denial) bool) []denial.Denial {
	s.Helper()
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all, _, err := denial.Read(filepath.Join(s.env.Run, denial.File), 0)
		if err != nil {
			s.Fatal(err)
		}
		var found []denial.Denial
		for _, d := range all {
			if fits(d) {
				found = append(found, d)
			}
		}
		if len(found) > 0 {
			return found
		}
		if time.Now().After(end) {
			s.Errorf("no such denial among %+v", all)
			return nil
		}
	}
}

func (s *sandbox) denied(target, reason string) {
	s.Helper()
	s.denials(func(d denial.Denial) bool { return d.Target() == target && strings.Contains(d.Reason, reason) })
}

// nsenter runs a program of the host inside.
func (s *sandbox) nsenter(args ...string) string {
	s.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + pinPath(s.env)}, args...)...).CombinedOutput()
	if err != nil {
		s.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// echoes reports whether what is sent on c comes back.
func echoes(c net.Conn, text string) error {
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if !bytes.Equal(buf, []byte(text)) {
		return fmt.Errorf("got %q", buf)
	}
	return nil
}

// atOnce fails the test if f takes as long as a person would notice.
func atOnce(t *testing.T, what string, f func() error) error {
	t.Helper()
	return within(t, time.Second, what, f)
}

// within fails the test if f takes longer.
func within(t *testing.T, most time.Duration, what string, f func() error) error {
	t.Helper()
	start := time.Now()
	err := f()
	if d := time.Since(start); d > most {
		t.Errorf("%s took %v: %v", what, d, err)
	}
	return err
}
