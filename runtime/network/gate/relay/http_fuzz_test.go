package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/hostname"
)

// forgetful is a store of what was used of a quota.
type forgetful struct{}

func (forgetful) Load() (map[string]meter.Used, error) { return nil, nil }
func (forgetful) Save(map[string]meter.Used) error     { return nil }

// half is one end of a connection in memory, of which one direction can be closed.
type half struct{ in, out net.Conn }

func inMemory() (half, half) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	return half{a, d}, half{c, b}
}

func (h half) Read(p []byte) (int, error)  { return h.in.Read(p) }
func (h half) Write(p []byte) (int, error) { return h.out.Write(p) }
func (h half) CloseWrite() error           { return h.out.Close() }
func (h half) Close() error                { return errors.Join(h.in.Close(), h.out.Close()) }
func (h half) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 781} }
func (h half) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(10, 0, 2, 100), Port: 40000} }
func (h half) SetDeadline(t time.Time) error {
	return errors.Join(h.in.SetDeadline(t), h.out.SetDeadline(t))
}
func (h half) SetReadDeadline(t time.Time) error  { return h.in.SetReadDeadline(t) }
func (h half) SetWriteDeadline(t time.Time) error { return h.out.SetWriteDeadline(t) }

// longer than every time that the relay gives a client.
const longer = 10 * idleFor

// relayed has the relay's HTTP serve a client that says some pieces and waits, with a
// server behind each connection. It returns what the client heard, when all is over.
//
// It has to be called in a bubble of synctest: there is no clock but the bubble's, and
// a goroutine that is left is a failure.
func relayed(t *testing.T, server func(half), pieces ...[]byte) []byte {
	t.Helper()
	rs, err := rules.Compile(network.Policy{Default: "deny", Egress: []network.Egress{{
		Name: "web", Domains: []string{"good.example"}, Ports: []uint16{80}, Protocol: "tcp", During: []string{"run"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r := New(nil, nil, Policy{Rules: rs}, meter.New(forgetful{}), func(d denial.Denial, _ who.Socket) denial.Denial { return d }, nil)
	f, _, err := r.begin(target{proto: "tcp", name: "good.example", addr: netip.MustParseAddrPort("198.18.1.2:80")})
	if err != nil {
		t.Fatal(err)
	}
	if f.meter, err = r.meters.Open("egress.web", meter.Events{Wake: f.wake, Cut: func(error) {}}); err != nil {
		t.Fatal(err)
	}
	client, near := inMemory()
	// Its connection is none: it can't be reset, and near is closed in its stead.
	tk := &talk{relay: r, flow: f, client: new(net.TCPConn)}
	var servers, speaking sync.WaitGroup
	dial := func() (net.Conn, error) {
		to, far := inMemory()
		servers.Go(func() {
			server(far)
			_ = far.Close()
		})
		return metered{to, tk}, nil
	}
	speaking.Go(func() {
		for _, p := range pieces {
			if len(p) == 0 {
				continue
			}
			if _, err := client.Write(p); err != nil {
				return
			}
		}
		<-time.After(longer)
		_ = client.CloseWrite()
		<-time.After(longer)
		_ = client.Close()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tk.requests(near, dial)
		r.end(f)
	}()
	heard, _ := io.ReadAll(client)
	<-done
	_ = client.Close()
	speaking.Wait()
	servers.Wait()
	return heard
}

// FuzzHTTP: whatever a client says on one connection, what goes out is HTTP that can be
// read in one way, for the host that is allowed.
func FuzzHTTP(f *testing.F) {
	log.SetOutput(io.Discard) // net/http tells what comes unasked
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	for i, s := range smuggled {
		f.Add([]byte(s), byte(i), uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, said []byte, behaviour byte, cut uint16) {
		if len(said) > 1<<16 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			cut := min(int(cut), len(said))
			s := &strict{behaviour: behaviour % behaviours}
			heard := relayed(t, s.serve, said[:cut], said[cut:])
			for _, wrong := range s.wrong {
				t.Errorf("%s\n%q", wrong, said)
			}
			if most := bytes.Count(said, []byte("HTTP/1.")); s.requests > most && s.behaviour != hangUp {
				t.Errorf("%d requests of %d went out: %q", s.requests, most, said)
			}
			s.inOrder(t, said, heard)
		})
	})
}

// Behaviours of a server.
const (
	plainly    = iota // with a Content-Length
	inChunks          // and a trailer
	early             // before it reads the body
	switching         // to another protocol, if one is offered
	inForm            // 103 and 100 first
	closing           // after one answer
	hangUp            // without an answer
	impatient         // it answers before the body and closes
	behaviours        // how many there are
)

// strict is a server that reads HTTP strictly, and notes what is wrong.
type strict struct {
	behaviour byte

	mu       sync.Mutex
	requests int // that were read to their end
	answered int
	wrong    []string
	switched bool
}

func (s *strict) serve(c half) {
	in := bufio.NewReader(c)
	for {
		h, err := readHead(in)
		if errors.Is(err, io.EOF) || errors.Is(err, errCut) {
			return
		}
		if err == nil {
			err = judged(h)
		}
		if err == nil && (s.behaviour == early || s.behaviour == impatient) {
			s.answer(c, h)
			if s.behaviour == impatient {
				return
			}
		}
		if err == nil && s.behaviour == inForm {
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
		}
		if err == nil {
			_, err = readBody(in, h, false, false)
		}
		if errors.Is(err, errCut) {
			return
		}
		if err != nil {
			s.note(fmt.Sprintf("%v in %q", err, h))
			return
		}
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		if s.behaviour == hangUp {
			return
		}
		if s.behaviour != early {
			s.answer(c, h)
		}
		if s.switched {
			_, _ = io.Copy(io.Discard, in)
		}
		if s.behaviour == closing || s.switched {
			return
		}
	}
}

func (s *strict) note(wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, wrong)
}

// answer says which one it is.
func (s *strict) answer(c half, h head) {
	s.mu.Lock()
	s.answered++
	n := s.answered
	s.mu.Unlock()
	bodiless := strings.HasPrefix(h.line, "HEAD ")
	switch {
	case s.behaviour == switching && len(h.all("upgrade")) > 0:
		s.switched = true
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nAnswer: %d\r\n\r\n", h.all("upgrade")[0], n)
	case bodiless:
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nAnswer: %d\r\nContent-Length: 2\r\n\r\n", n)
	case s.behaviour == inChunks:
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nAnswer: %d\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", n)
	case s.behaviour == closing:
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nAnswer: %d\r\n\r\nok", n)
	default:
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nAnswer: %d\r\nContent-Length: 2\r\n\r\nok", n)
	}
}

// inOrder wants the answers that a client heard to be those of the requests that went
// out, each once and in their order.
func (s *strict) inOrder(t *testing.T, said, heard []byte) {
	t.Helper()
	last := 0
	for part := range bytes.SplitSeq(heard, []byte("\r\n")) {
		var n int
		if _, err := fmt.Sscanf(string(part), "Answer: %d", &n); err != nil {
			continue
		}
		if n <= last || n > s.answered {
			t.Errorf("answer %d after %d of %d: %q to %q", n, last, s.answered, heard, said)
		}
		last = n
	}
	if s.behaviour < closing && s.requests > 0 && last == 0 {
		t.Errorf("%d requests went out, and none was answered: %q to %q", s.requests, heard, said)
	}
}

// judged says what of a request must not go out.
func judged(h head) error {
	method, rest, _ := strings.Cut(h.line, " ")
	target, version, _ := strings.Cut(rest, " ")
	switch {
	case !isToken(method) || version != "HTTP/1.1":
		return errors.New("no request line")
	case method == "CONNECT":
		return errors.New("a tunnel")
	case !strings.HasPrefix(target, "/") && (target != "*" || method != "OPTIONS"):
		return errors.New("a target that is no path")
	case strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("a target that is no URI")
	}
	hosts := h.all("host")
	if len(hosts) != 1 {
		return fmt.Errorf("%d hosts", len(hosts))
	}
	if name, ok := hostname.Normalize(strings.TrimSuffix(hosts[0], ":80")); !ok || name != "good.example" {
		return fmt.Errorf("host %q", hosts[0])
	}
	for _, up := range h.all("upgrade") {
		if !strings.EqualFold(up, "websocket") {
			return fmt.Errorf("an upgrade to %q", up)
		}
	}
	if len(h.all("http2-settings"))+len(h.all("proxy-connection"))+len(h.all("proxy-authorization")) > 0 {
		return errors.New("a field for the next hop only")
	}
	return nil
}

// FuzzHTTPAnswer: whatever a server says, a client hears answers to its own requests
// only, which can be read in one way.
func FuzzHTTPAnswer(f *testing.F) {
	log.SetOutput(io.Discard) // net/http tells what comes unasked
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	for i, s := range answers {
		f.Add([]byte(s), byte(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, says []byte, which byte, closes bool) {
		if len(says) > 1<<16 {
			return
		}
		asked := asks[int(which)%len(asks)]
		synctest.Test(t, func(t *testing.T) {
			heard := relayed(t, func(c half) {
				in := bufio.NewReader(c)
				if _, err := in.Peek(1); err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, in) }()
				_, _ = c.Write(says)
				if !closes {
					<-time.After(2 * longer)
				}
			}, []byte(asked.said))
			if most := 4*len(says) + 4096; len(heard) > most {
				t.Errorf("%d bytes became %d: %q", len(says), len(heard), says)
			}
			if err := asked.judged(heard); err != nil {
				t.Errorf("%v: %q to %q, as the server said %q", err, heard, asked.said, says)
			}
		})
	})
}

// An asking is what a client says, and the methods of its requests.
type asking struct {
	said    string
	methods []string
}

var asks = []asking{
	{"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n", []string{"GET"}},
	{"HEAD / HTTP/1.1\r\nHost: good.example\r\n\r\n", []string{"HEAD"}},
	{"GET /1 HTTP/1.1\r\nHost: good.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: good.example\r\n\r\n", []string{"GET", "GET"}},
	{"POST / HTTP/1.1\r\nHost: good.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", []string{"POST"}},
	{"GET / HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabc", []string{"GET"}},
	{"GET / HTTP/1.0\r\nHost: good.example\r\n\r\n", []string{"GET"}},
	{"GET / HTTP/1.1\r\nHost: good.example\r\nTE: trailers\r\nConnection: TE\r\n\r\n", []string{"GET"}},
}

// judged reads what a client heard: at most one answer to each request.
func (a asking) judged(heard []byte) error {
	in := bufio.NewReader(bytes.NewReader(heard))
	for _, method := range a.methods {
		for {
			h, err := readHead(in)
			if errors.Is(err, io.EOF) || errors.Is(err, errCut) {
				return nil
			}
			if err != nil {
				return err
			}
			var major, minor, code int
			if n, err := fmt.Sscanf(h.line+" ", "HTTP/%1d.%1d %3d ", &major, &minor, &code); err != nil || n != 3 || major != 1 || code < 100 {
				return fmt.Errorf("no status line: %q", h.line)
			}
			if code == 101 {
				return nil // what follows is another protocol's
			}
			interim := code < 200
			_, err = readBody(in, h, interim || method == "HEAD" || code == 204 || code == 304, true)
			if errors.Is(err, errCut) {
				return nil
			}
			if err != nil {
				return err
			}
			if !interim {
				break
			}
		}
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		return fmt.Errorf("more than was asked for: %q", rest)
	}
	return nil
}
