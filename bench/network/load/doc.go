// Package load is both ends of what bench/network measures: a server, and clients that
// count what becomes of their connections. One static binary runs it inside a sandbox
// and outside, so the two differ in nothing but the way between them.
package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A verb is what a client says first. None begins with a letter: it can't begin a request
// of HTTP, so whoever looks what protocol this is need not wait for more. mitmproxy waits
// for three bytes whatever they are.
type verb [4]byte

var (
	verbSend = verb{1} // the server sends without end
	verbTake = verb{2} // the server reads, and tells at the end what came how evenly
	verbEcho = verb{3}
)

// Protocols of a Target.
const (
	TCP  = "tcp"
	TLS  = "tls"
	HTTP = "http"
)

// Name is what the server is called.
const Name = "good.example"

// A Target is a server, and the way to it.
type Target struct {
	Proto string   // TCP | TLS | HTTP
	At    []string // host:port, in turn
	Proxy string   // host:port of one that is asked to CONNECT; "" is none

	next atomic.Uint64
}

// A Result is what a client counted.
type Result struct {
	Count   int           `json:"count"`         // that worked
	Failed  int           `json:"failed"`        // that did not
	Bytes   int64         `json:"bytes"`         // of payload
	Took    time.Duration `json:"took"`          // all of it
	P50     time.Duration `json:"p50"`           // of one
	P99     time.Duration `json:"p99"`           // likewise
	Max     time.Duration `json:"max"`           // likewise
	CPU     time.Duration `json:"cpu"`           // of the client
	BitRate float64       `json:"bit_rate"`      // bit/s
	Widest  time.Duration `json:"widest"`        // longest time in which nothing came
	Why     string        `json:"why,omitempty"` // the first failure

	Whys map[string]int `json:"whys,omitempty"` // all failures, by what went wrong
}

// dialWithin is when a connection counts as lost.
const dialWithin = 20 * time.Second

// dial connects, through the proxy and with TLS if that is asked for.
func (t *Target) dial() (net.Conn, error) {
	at := t.At[t.next.Add(1)%uint64(len(t.At))]
	to := at
	if t.Proxy != "" {
		to = t.Proxy
	}
	c, err := net.DialTimeout("tcp", to, dialWithin)
	if err != nil {
		return nil, err
	}
	if t.Proxy != "" {
		err = tunnel(c, at)
	}
	if err == nil && t.Proto == TLS {
		c = tls.Client(c, &tls.Config{ServerName: Name, InsecureSkipVerify: true}) //nolint:gosec // its certificate is made at its start
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// tunnel asks a proxy for a connection. What answers says nothing before it is asked,
// so no byte of it is read here.
func tunnel(c net.Conn, to string) error {
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy says %s", strings.TrimSpace(r.Status))
	}
	return nil
}

// used is the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
