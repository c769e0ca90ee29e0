package gate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
)

// askRaw sends raw and returns the whole answer.
func askRaw(c net.Conn, raw string) (*http.Response, string, error) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil {
		return nil, "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// TestRefusedNameSaysWhy: HTTP to a name that no rule allows is answered in words, and
// nothing of it gets anywhere.
func TestRefusedNameSaysWhy(t *testing.T) {
	s := up(t, webRule(80, 443), network.Egress{Name: "all", CIDRs: []string{"0.0.0.0/0"}, Ports: []uint16{80}})
	seen, asked := len(internet.http.Seen()), len(internet.names.Asked())
	c, err := s.connect("refused.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	r, body, err := askRaw(c, "GET / HTTP/1.1\r\nHost: Refused.example\r\n\r\n")
	want := "blast: refused by the sandbox, not by the network\n\n  what   refused.example:80\n  why    no egress rule of blast.hcl names this host\n  allow  blast allow refused.example:80\n"
	if err != nil || r.StatusCode != http.StatusForbidden || body != want || !r.Close || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%v %v\n%s", err, r, body)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the connection goes on: %d, %v", n, err)
	}
	s.denials(func(d denial.Denial) bool { return d.Op == denial.Connect && d.Target() == "refused.example:80" })

	for what, raw := range map[string]string{
		"another host":  "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
		"escapes":       "GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n",
		"markup":        "GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n",
		"no host":       "GET / HTTP/1.0\r\n\r\n",
		"absolute form": "GET http://good.example/x HTTP/1.1\r\nHost: refused.example\r\n\r\n",
		"tunnel":        "CONNECT good.example:80 HTTP/1.1\r\nHost: good.example:80\r\n\r\n",
		"pipelined":     "GET / HTTP/1.1\r\nHost: refused.example\r\n\r\nGET /two HTTP/1.1\r\nHost: good.example\r\n\r\n",
		"a body":        "POST / HTTP/1.1\r\nHost: refused.example\r\nContent-Length: 20\r\n\r\nGET /three HTTP/1.1\r\n",
		"h2":            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":           "\x16\x03\x01\x02\x00\x01",
		"no HTTP":       "\x00\x01\x02",
	} {
		c, err := s.connect("refused.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		r, body, err := askRaw(c, raw)
		if err == nil && r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusBadRequest || strings.ContainsAny(body, "\x1b<>") {
			t.Errorf("%s: %v %q, %v", what, r, body, err)
		}
		if what == "another host" && strings.Contains(body, "good.example") {
			t.Errorf("%s: %q", what, body)
		}
	}
	if got := internet.http.Seen(); len(got) != seen {
		t.Errorf("the server saw %q", got[seen:])
	}
	if got := internet.names.Asked(); len(got) != asked {
		t.Errorf("the world was asked %q", got[asked:])
	}
	c, err = s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(c, "good.example", "/"); err != nil || got != "http good.example /" {
		t.Errorf("control: %q, %v", got, err)
	}
}

// A name whose rule lacks port 80 is answered there, too: nobody would look for the rule
// behind a connection that is refused. Nothing of it gets anywhere.
func TestPortThatARuleLacksSaysWhy(t *testing.T) {
	s := up(t, webRule(443))
	seen, asked := len(internet.http.Seen()), len(internet.names.Asked())
	want := "blast: refused by the sandbox, not by the network\n\n  what   good.example:80\n  why    egress \"web\" names this host but not port 80\n  allow  blast allow good.example:80\n"
	for _, host := range []string{"good.example", "other.example", ""} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		r, body, err := askRaw(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\nGET / HTTP/1.1\r\nHost: good.example\r\n\r\n")
		if err != nil || r.StatusCode != http.StatusForbidden || body != want || !r.Close {
			t.Errorf("%q: %v %v\n%s", host, err, r, body)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the connection goes on: %d, %v", n, err)
		}
	}
	for _, raw := range []string{"\x16\x03\x01\x02\x00\x01", "\x00\x01\x02", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if r, body, err := askRaw(c, raw); err == nil {
			t.Errorf("%q: %v %s", raw, r, body)
		}
	}
	for _, d := range s.denials(func(d denial.Denial) bool { return d.Target() == "good.example:80" }) {
		if d.Rule != "web" || d.Final || !strings.Contains(d.Reason, "not port 80") { // what was said there is no matter
			t.Errorf("%+v", d)
		}
	}
	if c, err := s.connect("good.example", "8080"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("another port: %v, %v", c, err)
	}
	if len(internet.http.Seen()) != seen || len(internet.names.Asked()) != asked {
		t.Error("something of it got out")
	}
}

// An address of before a rule was made leads nowhere still.
func TestRefusedAddressStaysRefused(t *testing.T) {
	s := up(t)
	addr := net.JoinHostPort(s.lookup("good.example"), "80")
	s.policy(policyOf(webRule(80)))
	seen := len(internet.http.Seen())
	c, err := s.dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if r, body, err := askRaw(c, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n"); err != nil || r.StatusCode != http.StatusForbidden || !strings.Contains(body, "look the name up again") || strings.Contains(body, "  allow") {
		t.Errorf("%v %q %v", r, body, err)
	}
	if got := internet.http.Seen(); len(got) != seen {
		t.Errorf("the server saw %q", got[seen:])
	}
}

// TestRefusalsInWordsAreBounded: they count among the connections that may be open.
func TestRefusalsInWordsAreBounded(t *testing.T) {
	const most = 100
	s := up(t)
	p := policyOf(webRule(80))
	p.Limits = atMost(most)
	s.policy(p)
	addr := net.JoinHostPort(s.lookup("refused.example"), "80")
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	err := s.inside(func() error {
		for range most + 16 { // some may lose their place to the first ones that ask below
			c, err := net.Dial("tcp", addr)
			switch {
			case err == nil:
				held = append(held, c)
			case len(held) < most || !errors.Is(err, unix.ECONNRESET):
				return fmt.Errorf("after %d: %w", len(held), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = waitFor(t, func() (*http.Response, string, error) {
		c, err := s.dial("tcp", addr)
		if err != nil {
			return nil, "", err
		}
		return askRaw(c, "GET / HTTP/1.1\r\nHost: refused.example\r\n\r\n")
	}, func(err error) bool { return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) })
	if err == nil {
		t.Error("more are open than there may be")
	}
	for _, c := range held {
		_ = c.Close()
	}
	held = nil
	r, _, err := waitFor(t, func() (*http.Response, string, error) {
		c, err := s.dial("tcp", addr)
		if err != nil {
			return nil, "", err
		}
		return askRaw(c, "GET / HTTP/1.1\r\nHost: refused.example\r\n\r\n")
	}, func(err error) bool { return err == nil })
	if err != nil || r.StatusCode != http.StatusForbidden {
		t.Errorf("when there is room again: %v, %v", r, err)
	}
}

// waitFor repeats f until its error fits, for a while.
func waitFor(t *testing.T, f func() (*http.Response, string, error), fits func(error) bool) (*http.Response, string, error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, body, err := f()
		if fits(err) || time.Now().After(end) {
			return r, body, err
		}
	}
}

// Many at once are answered each with its own.
func TestRefusalsInWordsAtOnce(t *testing.T) {
	s := up(t)
	var wg sync.WaitGroup
	for i := range 40 {
		name := fmt.Sprintf("n%d.example", i)
		c, err := s.connect(name, "80")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, body, err := askRaw(c, "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n"); err != nil || !strings.Contains(body, "blast allow "+name+":80\n") {
				t.Errorf("%s: %q, %v", name, body, err)
			}
		})
	}
	wg.Wait()
}
