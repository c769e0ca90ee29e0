package gate

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// exchange sends bytes to the web server and reads one answer. It returns what the server was
// told, too.
func (s *sandbox) exchange(raw string) (status int, told string) {
	s.Helper()
	from := internet.Journal.Len()
	c, err := s.connect("good.example", "80")
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
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		s.Fatalf("%q: %v", raw, err)
	}
	return r.StatusCode, string(internet.Journal.Bytes(from))
}

// What a request asks for reaches the server as it was written, however odd it is.
func TestTargetsArePassedOnAsTheyAre(t *testing.T) {
	s := up(t, webRule(80))
	for _, target := range []string{
		"/p?a=1;b=2", "/p?a=%zz&b", "/p?", "/p?a&a=&=", "//two//slashes", "/%7Etilde/a%2Fb", "/a/../b/./c", "/p?q=http://other.example/", "/p?%00%0a",
	} {
		if _, told := s.exchange("GET " + target + " HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n"); !strings.Contains(told, "GET "+target+" (") {
			t.Errorf("%s: the server was told %q", target, told)
		}
	}
}

// Who offers HTTP/2 without TLS goes on with HTTP/1.1, as with a server that doesn't have it.
func TestHTTP2IsDeclined(t *testing.T) {
	s := up(t, webRule(80))
	for _, connection := range []string{"Upgrade, HTTP2-Settings", "Upgrade", "HTTP2-Settings", "close"} {
		for _, body := range []string{"", "body"} {
			head := "POST /p HTTP/1.1\r\nHost: good.example\r\nContent-Length: " + string(rune('0'+len(body))) + "\r\nConnection: " + connection + "\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
			status, told := s.exchange(head + body)
			if status != http.StatusOK || !strings.Contains(told, "POST /p ") || !strings.HasSuffix(told, body) {
				t.Errorf("%s: %d, the server was told %q", connection, status, told)
			}
			if low := strings.ToLower(told); strings.Contains(low, "upgrade") || strings.Contains(low, "settings") || strings.Contains(low, "h2c") {
				t.Errorf("%s: the server was told of the offer: %q", connection, told)
			}
		}
	}
}
