package probes

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const httpCategory = "HTTP hosts and smuggling"

// The ports of the lenient servers behind good.example: which length of a body counts there.
const (
	lengthFirst = 8080
	chunksFirst = 8081
)

// smuggled is what shall reach the server as a request of its own.
const smuggled = "GET /TOKEN HTTP/1.1\r\nHost: other.example\r\n\r\n"

func httpProbes() []Probe {
	var ps []Probe
	add := func(name, what string, port int, raw string) {
		ps = append(ps, Probe{Name: "http-" + name, Category: httpCategory, What: what, Body: true, Try: request(goodName, port, raw)})
	}
	add("other-host", "another Host", lengthFirst, smuggled)
	add("other-host-80", "the same on port 80", 80, "GET /TOKEN HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
	add("token-host", "the token as Host", lengthFirst, "GET / HTTP/1.1\r\nHost: TOKEN.evil.example\r\n\r\n")
	add("no-host", "no Host", lengthFirst, "GET /TOKEN HTTP/1.0\r\n\r\n")
	add("empty-host", "an empty Host", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost:\r\n\r\n")
	add("two-hosts", "two of them, the allowed one first", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example:8080\r\nHost: other.example\r\n\r\n")
	add("two-hosts-turned", "the allowed one last, for servers that take the first", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: other.example\r\nHost: good.example:8080\r\n\r\n")
	add("host-list", "both in one Host", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example, other.example\r\n\r\n")
	add("host-userinfo", "the allowed name before an @", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example@other.example\r\n\r\n")
	add("host-path", "another name behind a slash", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example/other.example\r\n\r\n")
	add("host-nul", "a NUL in Host", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example\x00.other.example\r\n\r\n")
	add("host-kelvin", "a letter that becomes another when it is made small", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: other.example\u212a\r\n\r\n")
	add("host-port", "another port", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example:22\r\n\r\n")
	add("host-folded", "Host over two lines", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example\r\n other.example\r\n\r\n")
	add("host-after-fold", "Host that hides in the line before", lengthFirst, "GET /TOKEN HTTP/1.1\r\nX: y\r\n Host: good.example\r\nHost: other.example\r\n\r\n")
	add("blank-in-name", "a blank before the colon", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost : good.example\r\nHost: other.example\r\n\r\n")
	add("absolute", "a whole URL as target", lengthFirst, "GET http://other.example/TOKEN HTTP/1.1\r\nHost: good.example:8080\r\n\r\n")
	add("absolute-odd", "a target of another scheme", lengthFirst, "GET x:http://other.example/TOKEN HTTP/1.1\r\nHost: good.example:8080\r\n\r\n")
	add("connect", "a tunnel", lengthFirst, "CONNECT other.example:443 HTTP/1.1\r\nHost: good.example:8080\r\nX: TOKEN\r\n\r\n"+smuggled)
	add("odd-method", "a method of one's own", lengthFirst, "STEAL /TOKEN HTTP/1.1\r\nHost: other.example\r\n\r\n")
	add("small-version", "http in small letters", lengthFirst, "GET /TOKEN http/1.1\r\nHost: other.example\r\n\r\n")
	add("no-version", "a line without a version", lengthFirst, "GET /TOKEN\r\nHost: other.example\r\n\r\n")
	add("blank-line-first", "empty lines first", lengthFirst, "\r\n\r\n"+smuggled)
	add("bare-lf", "lines that end with LF alone", lengthFirst, strings.ReplaceAll(smuggled, "\r\n", "\n"))
	add("tabs", "tabs in the first line", lengthFirst, "GET\t/TOKEN\tHTTP/1.1\r\nHost: other.example\r\n\r\n")
	add("vertical-tabs", "vertical tabs, as Python's server splits them", lengthFirst, "GET\v/TOKEN\vHTTP/1.1\r\nHost: other.example\r\n\r\n")
	add("control-in-path", "a control character in the path", lengthFirst, "GET /\x01TOKEN HTTP/1.1\r\nHost: other.example\r\n\r\n")
	add("pipelined", "a second request at once", lengthFirst, "GET / HTTP/1.1\r\nHost: good.example:8080\r\n\r\n"+smuggled)
	add("pipelined-80", "the same on port 80", 80, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\nGET /TOKEN HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
	add("cl-te", "a length and chunks, for a server that counts the length", lengthFirst, "POST / HTTP/1.1\r\nHost: good.example:8080\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled)
	add("te-cl", "for one that takes the chunks", chunksFirst, "POST / HTTP/1.1\r\nHost: good.example:8081\r\nTransfer-Encoding: chunked\r\nContent-Length: 70\r\n\r\n0\r\n\r\n"+smuggled)
	add("two-lengths", "two lengths", lengthFirst, "POST / HTTP/1.1\r\nHost: good.example:8080\r\nContent-Length: 60\r\nContent-Length: 0\r\n\r\n"+smuggled)
	add("signed-length", "a length with a sign", lengthFirst, "POST / HTTP/1.1\r\nHost: good.example:8080\r\nContent-Length: +0\r\n\r\n"+smuggled)
	add("te-identity", "chunked and something else", chunksFirst, "POST / HTTP/1.1\r\nHost: good.example:8081\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"+smuggled)
	add("te-odd", "chunked in odd letters", chunksFirst, "POST / HTTP/1.1\r\nHost: good.example:8081\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"+smuggled)
	add("chunk-extension", "a line end in a chunk's extension", chunksFirst, "POST / HTTP/1.1\r\nHost: good.example:8081\r\nTransfer-Encoding: chunked\r\n\r\n0;x=\n\r\n"+smuggled)
	add("get-with-body", "a body where none is looked for", lengthFirst, "GET / HTTP/1.1\r\nHost: good.example:8080\r\nContent-Length: 0\r\nConnection: Content-Length, keep-alive\r\n\r\n"+smuggled)
	add("expect", "a body before anybody said to go on", lengthFirst, "POST / HTTP/1.1\r\nHost: good.example:8080\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"+smuggled)
	add("h2-preface", "HTTP/2 from the start", lengthFirst, "PRI * HTTP/2.0\r\n\r\nSM TOKEN\r\nHost: other.example\r\n\r\n")
	add("h2c", "an upgrade to HTTP/2", lengthFirst, "GET /TOKEN HTTP/1.1\r\nHost: good.example:8080\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"+smuggled)
	add("upgrade-declined", "an upgrade that the server doesn't make", lengthFirst, "GET / HTTP/1.1\r\nHost: good.example:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+smuggled)
	return append(ps,
		Probe{Name: "http-second", Category: httpCategory, What: "a second request, after the answer to the first", Body: true, Try: second},
		Probe{Name: "http-after-silence", Category: httpCategory, What: "a request after a silence, on a port where anything may be spoken", Body: true, Try: silent},
		Probe{Name: "http-by-letters", Category: httpCategory, What: "a request a byte at a time", Body: true, Try: letters},
		Probe{Name: "http-over-tls-port", Category: httpCategory, What: "HTTP on the port of TLS", Try: speaks(443, smuggled)},
	)
}

func second(a Aim) error {
	c, err := reach(goodName, lengthFirst)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: good.example:8080\r\n\r\n"); err != nil {
		return err
	}
	for i := range 2 {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", i+1, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("request %d: %s, %w", i+1, answer.Status, err)
		}
		if i == 0 {
			if _, err := io.WriteString(c, strings.ReplaceAll(smuggled, "TOKEN", a.Token)); err != nil {
				return err
			}
		}
	}
	return nil
}

func silent(a Aim) error {
	c, err := reach(goodName, lengthFirst)
	if err != nil {
		return err
	}
	<-time.After(600 * time.Millisecond)
	said, err := speak(c, []byte(strings.ReplaceAll(smuggled, "TOKEN", a.Token)))
	if err == nil && !strings.Contains(string(said), a.Token) {
		err = fmt.Errorf("answered %.40q", said)
	}
	return err
}

func letters(a Aim) error {
	c, err := reach(goodName, lengthFirst)
	if err != nil {
		return err
	}
	said, err := speak(pieces{c, 1}, []byte(strings.ReplaceAll(smuggled, "TOKEN", a.Token)))
	if err == nil && !strings.Contains(string(said), a.Token) {
		err = fmt.Errorf("answered %.40q", said)
	}
	return err
}
