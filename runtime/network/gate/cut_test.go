package gate

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A client must not take a connection that the policy ends for one that ended well.
func TestCutIsAReset(t *testing.T) {
	s := up(t, webRule(443))
	for i := range 12 {
		s.policy(policyOf(webRule(443)))
		c, err := s.connect("good.example", "443")
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(c, &tls.Config{ServerName: "good.example", InsecureSkipVerify: true})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := io.WriteString(tc, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			_, _ = tc.Read(make([]byte, 4096))
		}
		s.policy(policyOf())
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = io.Copy(io.Discard, c)
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
