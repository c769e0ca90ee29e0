package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"

	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/hostname"
)

// Bounds of HTTP.
const (
	headWithin = 30 * time.Second
	idleFor    = 5 * time.Minute
	maxHead    = 128 << 10 // bytes of the head of a request or an answer: as many flows may hold one at once as there may be
)

func (t *talk) http() error { return t.requests(aheadConn{t.client, t.in, t.flow}, t.take) }

// requests serves the requests of one connection, and checks each: the first says
// nothing about the second. What goes out, to what dial connects to, is written anew from
// what was understood, so client and server can't disagree on where a request ends.
func (t *talk) requests(client net.Conn, dial func() (net.Conn, error)) error {
	transport := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return dial() },
		DisableCompression: true,
		IdleConnTimeout:    idleFor,
		MaxConnsPerHost:    1,

		MaxResponseHeaderBytes: maxHead,
	}
	defer transport.CloseIdleConnections()
	return answer(client, t.handler(transport))
}

// answer lets h answer the requests of a connection until its end.
func answer(client net.Conn, h http.Handler) error {
	if err := client.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var once sync.Once
	quit := make(chan struct{})
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headWithin,
		MaxHeaderBytes:    maxHead,
		IdleTimeout:       idleFor,
		ErrorLog:          stdlog.New(io.Discard, "", 0), // a client's mistakes are its own business
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				once.Do(func() { close(quit) })
			}
		},
	}
	var serving sync.WaitGroup
	srv.Handler = counted(&serving, srv.Handler)
	err := srv.Serve(&oneConn{conn: client, quit: quit})
	serving.Wait() // a hijacked connection is served until its handler returns
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// take hands out the connection that was dialled already, or a new one.
func (t *talk) take() (net.Conn, error) {
	if c := t.server; c != nil {
		t.server = nil
		return metered{c, t}, nil
	}
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	return metered{c, t}, nil
}

// bodies lends what the body of an answer goes through.
type bodies struct{}

// Get implements httputil.BufferPool.
func (bodies) Get() []byte {
	b, _ := pieces.Get().(*piece)
	return b[:]
}

// Put implements httputil.BufferPool.
func (bodies) Put(b []byte) { pieces.Put((*piece)(b)) }

func (t *talk) handler(transport http.RoundTripper) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		BufferPool:    bodies{},
		FlushInterval: -1,
		ErrorLog:      stdlog.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme = "http"
			p.Out.URL.Host = net.JoinHostPort(t.flow.to.name, strconv.Itoa(int(t.flow.to.addr.Port())))
			p.Out.URL.RawQuery = p.In.URL.RawQuery // else "a=1;b" or "%zz" would be lost: they are the server's business
			for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := p.In.Header[h]; ok { // the relay is transparent
					p.Out.Header[h] = v
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { t.abort(w, err) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.flow.noted().Request()
		if err := t.check(r); err != nil {
			t.abort(w, err)
			return
		}
		decline(r.Header)
		if r.Header.Get("Expect") != "" && r.ProtoAtLeast(1, 1) {
			// net/http would say so when the body is asked for, at the same time as the server's
			// own 1xx are passed on, and into the same buffer. The transport doesn't wait anyway.
			w.WriteHeader(http.StatusContinue)
		}
		// Or the server would close the body of a request when its answer begins, and
		// the end of it may not have been asked for.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.abort(w, err)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// check holds for every request of the connection.
func (t *talk) check(r *http.Request) error {
	to := t.flow.to
	if r.Method == http.MethodConnect {
		return &mismatchError{"CONNECT asks for a tunnel to another host"}
	}
	if up := r.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") && !strings.EqualFold(up, h2c) {
		return &mismatchError{fmt.Sprintf("an upgrade to %.40q can't be checked", up)}
	}
	// x:http://other/ is no address of its own, but what follows the first colon is sent.
	if r.URL.Opaque != "" || r.URL.Path == "*" && r.Method != http.MethodOptions {
		return &mismatchError{fmt.Sprintf("the HTTP request target %.100q names no path", r.RequestURI)}
	}
	host, port := r.Host, strconv.Itoa(int(to.addr.Port()))
	if h, p, err := net.SplitHostPort(r.Host); err == nil {
		if p != port {
			return &mismatchError{fmt.Sprintf("the HTTP request is for %.100q (Host)", r.Host)}
		}
		host = h
	}
	if name, ok := hostname.Normalize(host); !ok || name != to.name {
		return &mismatchError{fmt.Sprintf("the HTTP request is for %.100q (Host)", r.Host)}
	}
	if v := to.verdict(t.relay.current().Rules, nil, time.Now()); !v.OK {
		return &upstream.RefusedError{Verdict: v}
	}
	return nil
}

// h2c is HTTP/2 without TLS, which can change the host unseen; RFC 7540 section 3.2.
const h2c = "h2c"

// decline answers an offer of HTTP/2 without TLS as a server that doesn't speak it does: it goes on with HTTP/1.1
// (RFC 9110 section 7.8). Java's HttpClient and curl --http2 offer it with each first request.
func decline(h http.Header) {
	if strings.EqualFold(h.Get("Upgrade"), h2c) {
		h.Del("Upgrade")
	}
	h.Del("Http2-Settings") // it belongs to such an offer
}

// abort records a refusal and answers with it. All else resets the client's connection.
func (t *talk) abort(w http.ResponseWriter, err error) {
	if d, refused := t.explain(err); refused {
		t.relay.forbid(w, d)
		return
	}
	t.flow.settled()
	_ = t.client.SetLinger(0)
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
	_ = t.client.Close()
}

func counted(wg *sync.WaitGroup, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		h.ServeHTTP(w, r)
	})
}

// aheadConn reads first what was read ahead.
type aheadConn struct {
	*net.TCPConn
	in   *bufio.Reader
	flow *flow
}

// Close notes who ended it, as long as the kernel knows.
func (c aheadConn) Close() error {
	c.flow.settled()
	c.flow.endedBy(whoEnded(c.TCPConn), "")
	return c.TCPConn.Close()
}

func (c aheadConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// WriteTo would bypass Read.
func (c aheadConn) WriteTo(w io.Writer) (int64, error) { return c.in.WriteTo(w) }

// oneConn is a listener that accepts one connection and ends with it.
type oneConn struct {
	conn net.Conn
	quit <-chan struct{}
	done bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.done {
		l.done = true
		return l.conn, nil
	}
	<-l.quit
	return nil, io.EOF
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }
