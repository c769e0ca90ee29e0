package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/relay"
)

// TestHeadsAreBounded: the daemon holds the head of a request and of an answer
// in memory, for each connection that a sandbox has open.
func TestHeadsAreBounded(t *testing.T) {
	s := up(t, webRule(80))
	for size, ok := range map[int]bool{64 << 10: true, 512 << 10: false} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // it may be refused before the end
			_, _ = fmt.Fprintf(c, "GET /head HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\nX-Fill: %s\r\n\r\n", strings.Repeat("x", size))
		}()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if got := err == nil && r.StatusCode == http.StatusOK; got != ok {
			t.Errorf("a request's head of %d bytes: %v, %v", size, r, err)
		}
	}
	for size, ok := range map[int]bool{64 << 10: true, 512 << 10: false} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		_, err = get(c, "good.example", fmt.Sprintf("/fill/%d", size))
		if got := err == nil; got != ok {
			t.Errorf("an answer's head of %d bytes: %v", size, err)
		}
	}
}

// TestDeafServerTakesNoThreads: a sandbox that publishes a port and never
// accepts, and visitors of it, take descriptors of the daemon up to a bound, and
// no threads: the Go runtime dies of ten thousand.
func TestDeafServerTakesNoThreads(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	at := freePort(t)
	p := policyOf()
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: at}}
	s.policy(p)
	listenDeaf(s, 8000)
	before := threads(t)
	var visitors []net.Conn
	defer func() {
		for _, c := range visitors {
			_ = c.Close()
		}
	}()
	for range 200 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		visitors = append(visitors, c)
	}
	p.Ingress[0].Port = 8001 // a server that answers
	var l net.Listener
	if err := s.inside(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:8001"); return err }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for { // visitors that the relay had not come to yet are led here, too
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	if n := threads(t) - before; n > 50 {
		t.Errorf("200 visitors take %d threads", n)
	}
	if err := atOnce(t, "another port", func() error { s.policy(p); return nil }); err != nil {
		t.Error(err)
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := echoes(c, "control"); err != nil {
		t.Errorf("control: %v", err)
	}
}

// listenDeaf listens inside on a port with no place for a connection that
// nobody accepts.
func listenDeaf(s *sandbox, port int) {
	s.Helper()
	err := s.inside(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // both families
		if err != nil {
			return err
		}
		s.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port}); err != nil {
			return err
		}
		return unix.Listen(fd, 0)
	})
	if err != nil {
		s.Fatal(err)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

// TestHeldConnectionsDontHoldTheGate: whatever a sandbox, its visitors and its
// servers leave half-said, the gate can close at once: an apply waits for that.
func TestHeldConnectionsDontHoldTheGate(t *testing.T) {
	s := newSandbox(t)
	s.apply(plan.Change{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})})
	p := policyOf(webRule(7, 80, 443), network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"})
	p.Ingress = []network.Ingress{{Name: "web", Port: 8000, Publish: freePort(t)}}
	s.policy(p)
	listenDeaf(s, 8000)
	for _, half := range []struct{ port, said string }{
		{"443", ""}, {"443", "\x16\x03\x01\x02\x00\x01"}, {"80", ""}, {"80", "GET / HT"}, {"80", "GET / HTTP/1.1\r\nHost: good"},
		{"80", "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 9\r\n\r\nhalf"},
		{"80", "GET /upgrade HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"7", ""}, {"7", "wo"}, {"7", "\x00\x01"},
	} {
		c, err := s.connect("good.example", half.port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, half.said); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.dial("tcp", "8.8.8.8:53")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if c, err = s.dial("udp", web+":7000"); err != nil {
		t.Fatal(err)
	}
	if err := attemptOn(c); err != nil {
		t.Fatalf("control: %v", err)
	}
	for range 4 {
		c, err := net.Dial("tcp", p.Ingress[0].Publish)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	// Less than anything that these could wait for.
	if err := within(t, 4*time.Second, "to close", s.host.Close); err != nil {
		t.Error(err)
	}
}

// TestDescriptorsPerConnection: a connection has the descriptors of its two sockets, and the pipes
// that bytes go through are bounded, even if nobody reads them.
func TestDescriptorsPerConnection(t *testing.T) {
	const n = 100
	s := up(t, bulkRule())
	for name, port := range map[string]string{"silent": ":7", "unread": ":9"} {
		before := descriptors(t)
		for range n {
			c, err := s.dial("tcp", web+port)
			if err != nil {
				t.Fatal(err)
			}
			if port == ":7" {
				err = echoes(c, "x")
			} else if _, err = io.WriteString(c, "s"); err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		more := descriptors(t) - before // the client's, the relay's two, the server's; and what the lab remembers, or closes
		if most := 4*n + 2*relay.Pipes + 20; more < 4*n-20 || more > most {
			t.Errorf("%d %s connections take %d descriptors, want at most %d", n, name, more, most)
		}
	}
}

// TestRefusedTakeFewDescriptors: a connection that there is no place for has a descriptor until its
// refusal is on record. However many a sandbox tries at once, the rest waits in the kernel.
func TestRefusedTakeFewDescriptors(t *testing.T) {
	const n = 400
	s, _ := limitedTo(t, atMost(1), network.Limits{}, network.Quota{})
	release := s.holdRefusals()
	first, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(first, "x"); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	var refused []net.Conn
	for range n {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			t.Error(err)
			break
		}
		refused = append(refused, c)
	}
	more := descriptors(t) - before - len(refused)
	release()
	if more > relay.Undecided+20 {
		t.Errorf("%d connections that wait for their refusal take %d descriptors", n, more)
	}
	for _, c := range refused {
		if err := atOnce(t, "a refusal", func() error { return echoes(c, "x") }); err == nil {
			t.Error("a connection too many works")
		}
	}
	if err := echoes(first, "y"); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestSilentUDPFlowsAreSmall: a flow of UDP is kept for a minute, and as many as there may
// be connections. One on which nothing goes has no buffer.
func TestSilentUDPFlowsAreSmall(t *testing.T) {
	const n, each = 300, 24 << 10
	s := up(t, network.Egress{Name: "udp", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"})
	s.udpInside("127.0.0.1:8000", "")
	p := policyOf(network.Egress{Name: "udp", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"})
	at := freeUDP(t)
	p.Ingress = []network.Ingress{{Name: "dns", Port: 8000, Publish: at, Protocol: "udp"}}
	s.policy(p)
	for name, dial := range map[string]func() (net.Conn, error){
		"out": func() (net.Conn, error) { return s.dial("udp", web+":7000") },
		"in":  func() (net.Conn, error) { return net.Dial("udp", at) },
	} {
		before := heap()
		for range n {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if got := askUDP(t, c, "x"); got == "" {
				t.Fatal("no answer")
			}
		}
		if more := heap() - before; more > n*each {
			t.Errorf("%s: %d bytes for each of %d flows", name, more/n, n)
		}
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// holdRefusals lets no refusal get on record until release is called. The gate is started
// anew with a record that is full.
func (s *sandbox) holdRefusals() (release func()) {
	s.Helper()
	s.host.end(s.env)
	path := filepath.Join(s.env.Run, denial.File)
	if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
		s.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = f.Close() })
	size, err := unix.FcntlInt(f.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		s.Fatal(err)
	}
	if err := s.host.Sync(context.Background(), s.env); err != nil {
		s.Fatal(err)
	}
	return func() { go func() { _, _ = io.Copy(io.Discard, f) }() }
}
