package gate

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
)

// TestOddTargets: a request target can name a host of its own, which counts
// before Host (RFC 9112 section 3.2.2). What servers see is a path.
func TestOddTargets(t *testing.T) {
	s := up(t, webRule(80))
	for _, ok := range []string{"/p", "http://good.example/p"} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(c, "good.example", ok); err != nil || got != "http good.example /p" {
			t.Fatalf("control %s: %q, %v", ok, got, err)
		}
	}
	for _, target := range []string{"x:http://other.example/p", "http:http://other.example/p", "x:other.example", "//other.example/p", "http:///other.example"} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(c, "good.example", target); strings.Contains(got, "http other.example") {
			t.Errorf("%s: %q, %v", target, got, err)
		}
	}
	for _, line := range internet.http.Seen() {
		if strings.HasPrefix(line, "http other.example") && strings.HasSuffix(line, "/p") {
			t.Errorf("the server saw %q", line)
		}
	}
	s.denied("good.example:80", "names no path")
}

// TestDisguisedHTTP: servers are lenient. Python's, for one, splits a request
// line at any white space there is and takes control characters in a path.
func TestDisguisedHTTP(t *testing.T) {
	s := up(t, webRule(7))
	for what, raw := range map[string]string{
		"AMQP": "AMQP\x00\x00\x09\x01", "git": "0032git-upload-pack /p.git\x00host=good.example\x00",
		"MongoDB": "\x3a\x00\x00\x00\x01\x00", "a short word": "GE\x00", "gzip": "\x1f\x8b\x08\x00",
	} {
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, raw); err != nil {
			t.Errorf("control %s: %v", what, err)
		}
	}
	for what, line := range map[string]string{
		"control character in the path": "GET /\x01 HTTP/1.1", "NUL in the path": "GET /\x00 HTTP/1.1",
		"vertical tabs": "GET\v/\vHTTP/1.1", "unit separators": "\x1fGET\x1f/\x1fHTTP/1.1", "no version": "GET /\x01",
		"next lines": "GET\x85/\x85HTTP/1.1", "form feed before": "\f\fPOST / HTTP/1.1",
	} {
		for _, w := range []struct {
			how string
			to  func(io.Writer) io.Writer
		}{{"at once", func(w io.Writer) io.Writer { return w }}, {"in pieces", func(w io.Writer) io.Writer { return pieces{w} }}} {
			c, err := s.connect("good.example", "7")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(w.to(c), line+"\r\nHost: other.example\r\n\r\n") // it may be refused before the end
			got := make([]byte, 64)
			n, err := c.Read(got)
			if !errors.Is(err, unix.ECONNRESET) && !strings.HasPrefix(string(got[:n]), "HTTP/1.1 400") {
				t.Errorf("%s %s: %q, %v", what, w.how, got[:n], err)
			}
		}
	}
}

// pieces writes a byte at a time.
type pieces struct{ io.Writer }

func (p pieces) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := p.Writer.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestNarrowedRuleCutsWhatNamesLeadTo: a live connection that a name leads to a
// private address ends with the cidrs rule that meant this address.
func TestNarrowedRuleCutsWhatNamesLeadTo(t *testing.T) {
	name := network.Egress{Name: "db", Domains: []string{"db.example"}, Ports: []uint16{5432, 80}}
	block := network.Egress{Name: "block", CIDRs: []string{database + "/32"}, Ports: []uint16{5432}}
	other := network.Egress{Name: "other", CIDRs: []string{web + "/32"}, Ports: []uint16{7}}
	s := up(t, name, block, other)
	internet.names.Set("db.example", database)
	c, err := s.connect("db.example", "5432")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "\x00\x01first"); err != nil {
		t.Fatalf("control: %v", err)
	}
	s.policy(policyOf(name, block)) // it doesn't need the other rule
	if err := echoes(c, "\x00\x01still"); err != nil {
		t.Fatalf("control: %v", err)
	}
	s.policy(policyOf(name, other))
	if err := echoes(c, "\x00\x01after"); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want reset", err)
	}
}
