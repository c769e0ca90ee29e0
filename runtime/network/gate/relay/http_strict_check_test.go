package relay

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestStrictServer: the reader that judges what the relay sends takes good requests, and
// sees what is wrong with each of those that smuggle.
func TestStrictServer(t *testing.T) {
	for raw, wrong := range map[string]string{
		"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n":                                                                    "",
		"OPTIONS * HTTP/1.1\r\nHost: GOOD.example.:80\r\n\r\n":                                                            "",
		"POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n":          "",
		"POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n": `host "evil.example"`,
		"GET / HTTP/1.1\r\n\r\n": "0 hosts",
		"GET / HTTP/1.1\r\nHost: good.example\r\nHost: good.example\r\n\r\n":                                         "2 hosts",
		"GET / HTTP/1.1\nHost: good.example\n\n":                                                                     "control character",
		"GET / HTTP/1.1\r\nHost: good.example\r\nX: a\rb\r\n\r\n":                                                    "control character",
		"GET / HTTP/1.1\r\nHost: good.example\r\nX: a\x00b\r\n\r\n":                                                  "control character",
		"GET / HTTP/1.1\r\nHost: good.example\r\nX: a\r\n b\r\n\r\n":                                                 "no field",
		"GET / HTTP/1.1\r\nHost : good.example\r\n\r\n":                                                              "no field",
		"GET / HTTP/1.0\r\nHost: good.example\r\n\r\n":                                                               "no request line",
		"GET http://good.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n":                                            "no path",
		"GET * HTTP/1.1\r\nHost: good.example\r\n\r\n":                                                               "no path",
		"CONNECT /x HTTP/1.1\r\nHost: good.example\r\n\r\n":                                                          "tunnel",
		"GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: h2c\r\n\r\n":                                               "an upgrade",
		"POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":  "both",
		"POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na":                   "comes once",
		"POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: +1\r\n\r\na":                                       "Content-Length",
		"POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                 "Transfer-Encoding",
		"POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n":         "a chunk of",
		"POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n":            "longer than it says",
		"POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: evil.example\r\n\r\n": "host in a trailer",
	} {
		synctest.Test(t, func(t *testing.T) {
			client, far := inMemory()
			s := &strict{}
			go func() { s.serve(far); _ = far.Close() }()
			go func() {
				_, _ = client.Write([]byte(raw))
				_ = client.CloseWrite()
			}()
			synctest.Wait()
			for b := make([]byte, 512); ; {
				if _, err := client.Read(b); err != nil {
					break
				}
			}
			_ = client.Close()
			if got := strings.Join(s.wrong, ", "); (got == "") != (wrong == "") || !strings.Contains(got, wrong) {
				t.Errorf("%q: %q, want %q", raw, got, wrong)
			}
		})
	}
}

// TestRelayed: what is right goes through, each request of a connection.
func TestRelayed(t *testing.T) {
	for behaviour := range byte(hangUp) {
		synctest.Test(t, func(t *testing.T) {
			s := &strict{behaviour: behaviour}
			one := "POST /p HTTP/1.1\r\nHost: good.example\r\nContent-Length: 3\r\n\r\nabc"
			heard := string(relayed(t, s.serve, []byte(one), []byte(one[:9]), []byte(one[9:]+one)))
			if s.requests != 3 || len(s.wrong) > 0 || strings.Count(heard, "Answer: ") != 3 || strings.Count(heard, "ok") != 3 {
				t.Errorf("behaviour %d: %d requests, wrong %q, heard %q", behaviour, s.requests, s.wrong, heard)
			}
		})
	}
}
