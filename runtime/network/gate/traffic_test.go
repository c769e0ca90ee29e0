package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/traffic"
)

// record is what the gate has on record.
func (s *sandbox) record() (all []traffic.Line, totals traffic.Totals) {
	s.Helper()
	err := s.host.Monitor(context.Background(), s.env, kinds.Asking{Record: traffic.Record}, func(b json.RawMessage) error {
		l, err := traffic.Decode(b)
		if l.Totals != nil {
			totals = *l.Totals
		} else {
			all = append(all, l)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return all, totals
}

// connection waits for one that fits.
func (s *sandbox) connection(fits func(traffic.Connection) bool) traffic.Connection {
	s.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all, _ := s.record()
		var cs []traffic.Connection
		for _, l := range all {
			if l.Connection == nil {
				continue
			}
			cs = append(cs, *l.Connection)
			if fits(*l.Connection) {
				return *l.Connection
			}
		}
		if time.Now().After(end) {
			s.Fatalf("no such connection among %+v", cs)
		}
	}
}

// settled is record when nothing is open any more.
func (s *sandbox) settled() (all []traffic.Line, totals traffic.Totals) {
	s.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, totals = s.record()
		open := uint64(0)
		for _, n := range totals.Rules {
			open += n.Open
		}
		for _, l := range all {
			if l.Connection != nil && !isClosed(*l.Connection) {
				open++
			}
		}
		if open == 0 {
			return all, totals
		}
		if time.Now().After(end) {
			s.Fatalf("%d are open: %+v", open, all)
		}
	}
}

func isClosed(c traffic.Connection) bool { return c.State == traffic.Closed }

// TestBytesWhileTheyGo: the relay lets the kernel move them, so the kernel is asked.
func TestBytesWhileTheyGo(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	c, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 1<<20)
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, text)
		done <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, len(text))); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	now := s.connection(func(c traffic.Connection) bool { return c.Received == uint64(len(text)) })
	if now.State != traffic.Open || now.Sent != uint64(len(text)) || now.Rule != "raw" || now.Addr != web || now.To != web+":7" {
		t.Errorf("%+v", now)
	}
	if err := echoes(c, "and more"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	over := s.connection(isClosed)
	if over.ID != now.ID || over.Sent != now.Sent+8 || over.Received != now.Received+8 || over.End != traffic.ByClient || over.Ended.Before(over.Time) {
		t.Errorf("%+v", over)
	}
	_, totals := s.record()
	if n := totals.Rules["egress.raw"]; n != (traffic.Sum{Connections: 1, Sent: over.Sent, Received: over.Received}) {
		t.Errorf("%+v", n)
	}
}

// TestHowConnectionsEnd: each end that there is, and who made it.
func TestHowConnectionsEnd(t *testing.T) {
	own := network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7, 80, 13}}
	for what, end := range map[string]struct {
		connect func(s *sandbox) (net.Conn, error)
		then    func(s *sandbox, c net.Conn) error
		how     string
		reason  string
	}{
		"client closes": {named("7"), func(_ *sandbox, c net.Conn) error {
			return errors.Join(echoes(c, "hello\n"), c.Close())
		}, traffic.ByClient, ""},
		"client resets": {named("7"), func(_ *sandbox, c net.Conn) error {
			return errors.Join(echoes(c, "hello\n"), c.(*net.TCPConn).SetLinger(0), c.Close())
		}, traffic.ByClient, ""},
		"client says nothing": {named("80"), func(_ *sandbox, c net.Conn) error { return c.Close() }, traffic.ByClient, ""},
		"client is done with HTTP": {named("80"), func(_ *sandbox, c net.Conn) error {
			return errors.Join(request(c, "good.example"), c.Close())
		}, traffic.ByClient, ""},
		"server closes": {raw("80"), func(_ *sandbox, c net.Conn) error {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			_, rerr := io.ReadAll(c)
			return errors.Join(err, rerr, c.Close())
		}, traffic.ByServer, ""},
		"server is done with HTTP": {named("80"), func(_ *sandbox, c net.Conn) error {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n")
			_, rerr := io.ReadAll(c)
			return errors.Join(err, rerr, c.Close())
		}, traffic.ByServer, ""},
		"nobody is there": {func(s *sandbox) (net.Conn, error) {
			_, _ = s.dial("tcp", web+":13") // which may be reset before it is seen to be open
			return nil, nil
		}, func(*sandbox, net.Conn) error { return nil }, traffic.Unreachable, "connection refused"},
		"rule is narrowed": {named("7"), func(s *sandbox, c net.Conn) error {
			err := echoes(c, "hello\n")
			s.policy(policyOf(own))
			return err
		}, traffic.ByPolicy, "no rule names it any more"},
		"port is closed": {named("7"), func(s *sandbox, c net.Conn) error {
			err := echoes(c, "hello\n")
			s.policy(policyOf(webRule(443), own))
			return err
		}, traffic.ByPolicy, "not port 7"},
		"second request is for another host": {named("80"), func(_ *sandbox, c net.Conn) error {
			err := request(c, "good.example")
			_ = request(c, "other.example")
			return err
		}, traffic.Refused, "other.example"},
		"blastd ends": {named("7"), func(s *sandbox, c net.Conn) error {
			return errors.Join(echoes(c, "hello\n"), s.host.Close(), s.host.Sync(context.Background(), s.env))
		}, traffic.WithDaemon, ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := up(t, webRule(7, 80, 443), own)
			c, err := end.connect(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := end.then(s, c); err != nil {
				t.Error(err)
			}
			if got := s.connection(isClosed); got.End != end.how || !strings.Contains(got.Reason, end.reason) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// request makes a request that leaves the connection open.
func request(c net.Conn, host string) error {
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return errors.Join(err, r.Body.Close())
}

func named(port string) func(*sandbox) (net.Conn, error) {
	return func(s *sandbox) (net.Conn, error) { return s.connect("good.example", port) }
}

func raw(port string) func(*sandbox) (net.Conn, error) {
	return func(s *sandbox) (net.Conn, error) { return s.dial("tcp", web+":"+port) }
}

// TestRefusedIsNoConnection: what never led anywhere is a denial, and only that.
func TestRefusedIsNoConnection(t *testing.T) {
	s := up(t, webRule(80))
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := get(c, "other.example", "/"); err != nil || !strings.HasPrefix(said, "blast: refused") {
		t.Fatalf("%q, %v", said, err)
	}
	s.denied("good.example:80", "other.example")
	all, totals := s.settled()
	denials := 0
	for _, l := range all {
		if l.Connection != nil {
			t.Errorf("%+v", l.Connection)
		}
		if l.Denial != nil {
			denials++
		}
	}
	if denials != 1 || totals.Rules[""].Refused+totals.Rules["egress.web"].Refused != 1 {
		t.Errorf("%d denials, %+v", denials, totals)
	}
}

func TestRequestsOfOneConnection(t *testing.T) {
	s := up(t, webRule(80))
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := request(c, "good.example"); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	if got := s.connection(isClosed); got.Requests != 3 || got.Host != "good.example" || got.To != web+":80" {
		t.Errorf("%+v", got)
	}
}

func TestDatagramsAreCounted(t *testing.T) {
	udp := network.Egress{Name: "udp", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"}
	s := up(t, udp)
	c, err := s.dial("udp", web+":7000")
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 20, 100
	received := 0
	for range n {
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		m, err := c.Read(make([]byte, 2*size))
		if err != nil {
			t.Fatal(err)
		}
		received += m
	}
	got := s.connection(func(c traffic.Connection) bool { return c.Received == uint64(received) })
	if got.Sent != n*size || got.Protocol != "udp" || got.State != traffic.Open {
		t.Errorf("%+v", got)
	}
	_, totals := s.record()
	if p := filterCount(totals, "egress udp"); p.Packets != n || p.Bytes != n*(20+8+size) || p.Rule != "udp" {
		t.Errorf("the kernel counts %+v", p)
	}
	s.policy(policyOf())
	if got := s.connection(isClosed); got.End != traffic.ByPolicy || got.Sent != n*size {
		t.Errorf("%+v", got)
	}
}

func filterCount(totals traffic.Totals, note string) traffic.Counter {
	for _, c := range totals.Filter {
		if strings.HasPrefix(c.Note, note) {
			return c
		}
	}
	return traffic.Counter{}
}

// TestRefusedPacketsAreCounted by the kernel, all of them, whatever is logged. They
// are no drift, and another policy goes on counting.
func TestRefusedPacketsAreCounted(t *testing.T) {
	s := up(t, webRule(80))
	before := s.observe()
	c, err := s.dial("udp", "192.0.2.7:9")
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	send := func() {
		for range n {
			if _, err := c.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
				t.Fatalf("%v, want EPERM", err)
			}
		}
	}
	send()
	_, totals := s.record()
	if p := filterCount(totals, "refuse the rest"); p.Packets != n || p.Bytes != n*29 || !p.Refuses {
		t.Errorf("%+v", p)
	}
	if after := s.observe(); after[network.PolicyAddr] != before[network.PolicyAddr] {
		t.Errorf("drift: %s", after[network.PolicyAddr])
	}
	s.policy(policyOf(webRule(80, 443)))
	send()
	if _, totals = s.record(); filterCount(totals, "refuse the rest").Packets != 2*n {
		t.Errorf("%+v", totals.Filter)
	}
}

// TestVisitorsAreEntered: who came from the host's side, and whose server it was.
func TestVisitorsAreEntered(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	at := freePort(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: at}}
	s.policy(p)
	pid := s.script("server.py", `import socket, sys, threading
l = socket.create_server(("127.0.0.1", 8000))
print("ready", flush=True)
def serve(c):
    try:
        while b := c.recv(1000):
            c.sendall(b)
        c.sendall(b"bye")
        c.close()
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
`)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := echoes(c, "hello"); err != nil {
		t.Fatal(err)
	}
	now := s.connection(func(c traffic.Connection) bool { return c.Sent == 5 && c.Received == 5 && c.PID != 0 })
	if now.Way != traffic.In || now.Addr != "127.0.0.1" || now.Rule != "web" || now.Port != 8000 || now.HostPID != pid {
		t.Errorf("%+v", now)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(c)
	if got := s.connection(isClosed); got.End != traffic.ByClient || got.Sent != 8 || got.Received != 5 {
		t.Errorf("%+v", got)
	}
	if c, err = net.Dial("tcp", at); err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "once more"); err != nil {
		t.Fatal(err)
	}
	s.policy(policyOf())
	if got := s.connection(func(c traffic.Connection) bool { return c.Received == 9 && isClosed(c) }); got.End != traffic.ByPolicy {
		t.Errorf("%+v", got)
	}
}

// TestVisitorsByUDPAreEntered, too: each source is one.
func TestVisitorsByUDPAreEntered(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	at := freePort(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "dns", Port: 8053, Publish: at, Protocol: "udp"}}
	s.policy(p)
	pid := s.script("server.py", `import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 8053))
print("ready", flush=True)
while True:
    b, who = u.recvfrom(1000)
    u.sendto(b + b"!", who)
`)
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := echoes(c, "hello"); err == nil {
		// Each way is counted when it was carried, and the two are carried side by side.
		if now := s.connection(func(c traffic.Connection) bool { return c.Sent == 6 && c.Received == 5 && c.PID != 0 }); now.Way != traffic.In || now.Rule != "dns" || now.HostPID != pid {
			t.Errorf("%+v", now)
		}
	} else {
		t.Error(err)
	}
	s.policy(policyOf())
	if got := s.connection(isClosed); got.End != traffic.ByPolicy || got.Received != 5 {
		t.Errorf("%+v", got)
	}
}

func TestQuestionsAreEntered(t *testing.T) {
	s := up(t, webRule(80))
	if out := s.python("import socket\nprint(socket.getaddrinfo('good.example', 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])\ntry: socket.getaddrinfo('no.example', 80)\nexcept OSError: pass"); !strings.HasPrefix(out, "198.18.") {
		t.Fatal(out)
	}
	s.denied("no.example", "")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all, _ := s.record()
		var questions []traffic.Question
		refused := 0
		for _, l := range all {
			if l.Question != nil {
				questions = append(questions, *l.Question)
			}
			if l.Denial != nil && l.Denial.Op == denial.Resolve && l.Denial.Host == "no.example" {
				refused++
			}
		}
		if len(questions) > 0 && refused > 0 {
			if q := questions[0]; len(questions) != 1 || q.Host != "good.example" || q.Record != "A" || q.Rule != "web" || q.Command == "" && q.Unknown == "" {
				t.Errorf("%+v", questions)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", all)
		}
	}
}

// script runs Python in the sandbox until the test ends, and returns when it says
// that it is ready.
func (s *sandbox) script(name, text string) (pid int) {
	s.Helper()
	file := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+pinPath(s.env), "python3", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.Fatal(line, err)
	}
	return cmd.Process.Pid
}

// holding is a script that holds a connection.
func (s *sandbox) holding(name string) (pid int) {
	s.Helper()
	return s.script(name, fmt.Sprintf("import socket, time\nc = socket.create_connection((%q, 7))\nc.sendall(b'x')\nc.recv(1)\nprint('ready', flush=True)\ntime.sleep(1000)\n", web))
}

// TestLimitEndsAreEntered: who is cut as a quota is used up, with the bytes until then,
// and what the limits did.
func TestLimitEndsAreEntered(t *testing.T) {
	const most = 100_000
	s, _ := limitedTo(t, network.Limits{}, network.Limits{}, network.Quota{Ingress: most})
	idle, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(idle, "12345"); err != nil {
		t.Fatal(err)
	}
	n, _ := io.Copy(io.Discard, s.bulk("s"))
	ends := map[uint64]traffic.Connection{}
	all, totals := s.settled()
	for _, l := range all {
		if c := l.Connection; c != nil {
			ends[c.Received] = *c
			if c.End != traffic.ByLimit || c.Rule != "raw" || !strings.Contains(c.Reason, "quota.ingress") {
				t.Errorf("%+v", *c)
			}
		}
	}
	if _, ok := ends[5]; len(ends) != 2 || !ok {
		t.Errorf("want one with 5 bytes and one with at least %d: %+v", n, ends)
	}
	for _, l := range totals.Limits {
		if l.Rule == "egress.raw" && l.RefusedQuota == 2 && l.Ingress.Used == most && l.Ingress.Budget == most {
			return
		}
	}
	t.Errorf("%+v", totals.Limits)
}

// TestProcessesAreToldApart: two at once, to the same place.
func TestProcessesAreToldApart(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	want := map[string]int{"one.py": s.holding("one.py"), "two.py": s.holding("two.py")}
	for name, pid := range want {
		c := s.connection(func(c traffic.Connection) bool { return strings.HasSuffix(c.Script, "/"+name) })
		if c.HostPID != pid || !strings.HasPrefix(c.Command, "python") {
			t.Errorf("%s is %d: %+v", name, pid, c)
		}
	}
}

// TestGateComesBackWithItsBooks: another daemon shows what the one before it saw.
func TestGateComesBackWithItsBooks(t *testing.T) {
	s := up(t, webRule(80))
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(c, "good.example", "/"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	was := s.connection(isClosed)
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	s.host = New(slog.New(slog.DiscardHandler))
	if got := s.connection(isClosed); got.ID != was.ID { // without a gate
		t.Errorf("%+v", got)
	}
	if err := s.host.Sync(context.Background(), s.env); err != nil {
		t.Fatal(err)
	}
	if c, err = s.connect("good.example", "80"); err != nil {
		t.Fatal(err)
	}
	if err := request(c, "good.example"); err != nil { // which leaves it open
		t.Fatal(err)
	}
	if got := s.connection(func(c traffic.Connection) bool { return !isClosed(c) }); got.ID <= was.ID {
		t.Errorf("%d after %d", got.ID, was.ID)
	}
	if _, totals := s.record(); totals.Rules["egress.web"].Connections != 2 || totals.Rules["egress.web"].Open != 1 {
		t.Errorf("%+v", totals)
	}
}

// TestManyConnectionsAreAllCounted: more than are noted one by one.
func TestManyConnectionsAreAllCounted(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	const n, each = 8, 400
	err := s.inside(func() error {
		for range n * each {
			c, err := net.DialTimeout("tcp", web+":7", 5*time.Second)
			if err != nil {
				return err
			}
			err = echoes(c, "x")
			_ = c.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, totals := s.settled()
	if got := totals.Rules["egress.raw"]; got != (traffic.Sum{Connections: n * each, Sent: n * each, Received: n * each}) {
		t.Errorf("%+v", got)
	}
}
