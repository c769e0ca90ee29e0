package gate

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/runtime/network"
)

// mirror has a server that answers with what it was told.
const (
	mirror     = "mirror.example"
	mirrorAddr = "93.184.215.77"
)

// serveMirror starts it, and returns a sandbox that may go there.
func serveMirror(t *testing.T) *sandbox {
	t.Helper()
	s := up(t, network.Egress{Name: "mirror", Domains: []string{mirror}, Ports: []uint16{80, 8080}})
	for _, port := range []string{"80", "8080"} {
		l, err := internet.Serve(mirrorAddr+":"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %s %v %q %v", r.Method, r.RequestURI, r.Header, body, err)
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	internet.names.Set(mirror, mirrorAddr)
	return s
}

// told is what the server was told in one request.
func (s *sandbox) told(port, raw string) string {
	s.Helper()
	c, err := s.connect(mirror, port)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(c, raw); err != nil {
		s.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.Fatalf("%q: %v", raw, err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		s.Fatalf("%q: %s %v", raw, r.Status, err)
	}
	return string(b)
}

// What a request asks for reaches the server as it was written, however odd it is.
func TestTargetsArePassedOnAsTheyAre(t *testing.T) {
	s := serveMirror(t)
	for _, target := range []string{
		"/p?a=1;b=2", "/p?a=%zz&b", "/p?", "/p?a&a=&=", "//two//slashes", "/%7Etilde/a%2Fb", "/a/../b/./c", "/p?q=http://other.example/", "/p?%00%0a",
	} {
		if told := s.told("80", "GET "+target+" HTTP/1.1\r\nHost: "+mirror+"\r\n\r\n"); !strings.HasPrefix(told, "GET "+target+" map") {
			t.Errorf("%s: the server was told %q", target, told)
		}
	}
}

// Who offers HTTP/2 without TLS goes on with HTTP/1.1, as with a server that doesn't have it.
func TestHTTP2IsDeclined(t *testing.T) {
	s := serveMirror(t)
	for _, port := range []string{"80", "8080"} {
		for _, connection := range []string{"Upgrade, HTTP2-Settings", "Upgrade", "HTTP2-Settings", "close"} {
			for _, body := range []string{"", "body"} {
				told := s.told(port, "POST /p HTTP/1.1\r\nHost: "+mirror+":"+port+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\nConnection: "+connection+"\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"+body)
				if !strings.HasPrefix(told, "POST /p ") || !strings.HasSuffix(told, fmt.Sprintf("%q <nil>", body)) {
					t.Errorf("%s: the server was told %q", connection, told)
				}
				if low := strings.ToLower(told); strings.Contains(low, "upgrade") || strings.Contains(low, "settings") || strings.Contains(low, "h2c") {
					t.Errorf("%s: the server was told of the offer: %q", connection, told)
				}
			}
		}
	}
}
