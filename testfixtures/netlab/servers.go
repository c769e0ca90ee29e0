package netlab

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Web server answers every request with one line, "<scheme> <Host> <path>",
// and remembers those lines.
type Web struct {
	journal *Journal

	mu   sync.Mutex
	seen []string
}

// Seen returns what was answered so far.
func (w *Web) Seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.seen...)
}

// ServeHTTP implements http.Handler. A request to /upgrade becomes a connection
// that echoes; the answer to /fill/N has N bytes too many in its head, that to /bytes/N
// is N bytes, once the request has been read.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	line := fmt.Sprintf("%s %s %s", scheme, r.Host, r.URL.Path)
	w.note(line, r)
	if r.URL.Path == "/upgrade" {
		upgrade(rw)
		return
	}
	if n, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
		size, _ := strconv.Atoi(n)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = rw.Write(make([]byte, size))
		return
	}
	if n, ok := strings.CutPrefix(r.URL.Path, "/fill/"); ok {
		size, _ := strconv.Atoi(n)
		rw.Header().Set("X-Fill", strings.Repeat("x", size))
	}
	if _, err := io.Copy(rw, io.MultiReader(strings.NewReader(line+"\n"), r.Body)); err != nil {
		return // the client went away
	}
}

func (w *Web) note(line string, r *http.Request) {
	w.mu.Lock()
	w.seen = append(w.seen, line)
	w.mu.Unlock()
	sni := ""
	if r.TLS != nil {
		sni = r.TLS.ServerName
	}
	_, _ = fmt.Fprintf(w.journal, "\nrequest for %s: %s %s (SNI %q) %v\n", r.Host, r.Method, r.RequestURI, sni, r.Header)
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, w.journal), r.Body}
}

func upgrade(rw http.ResponseWriter) {
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(c, buf)
}

// ServeHTTP starts a web server at addr:port.
func (l *Lab) ServeHTTP(at string) (*Web, error) {
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	return l.web(ln), nil
}

// ServeTLS starts a web server with TLS at addr:port that is all these names.
func (l *Lab) ServeTLS(at string, names ...string) (*Web, error) {
	ln, err := l.listenTLS(at, nil, names...)
	if err != nil {
		return nil, err
	}
	return l.web(ln), nil
}

// ServeTLSRetry is ServeTLS for clients that are asked for a second ClientHello: it takes keys of P-384 only,
// which few offer first.
func (l *Lab) ServeTLSRetry(at string, names ...string) (*Web, error) {
	ln, err := l.listenTLS(at, []tls.CurveID{tls.CurveP384}, names...)
	if err != nil {
		return nil, err
	}
	return l.web(ln), nil
}

func (l *Lab) listenTLS(at string, curves []tls.CurveID, names ...string) (net.Listener, error) {
	cert, err := l.Authority.certificate(names...)
	if err != nil {
		return nil, err
	}
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, CurvePreferences: curves,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			_, err := fmt.Fprintf(&l.Journal, "\nrequest for %s: a hello of TLS\n", h.ServerName)
			return nil, err
		},
	}), nil
}

func (l *Lab) web(ln net.Listener) *Web {
	w := &Web{journal: &l.Journal}
	s := &http.Server{Handler: w, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	l.keep(s)
	l.wg.Go(func() { _ = s.Serve(ln) })
	return w
}

// ServeEcho starts a TCP server at addr:port that says banner, if there is one,
// and then what it is told, until the client ends.
func (l *Lab) ServeEcho(at, banner string) error {
	ln, err := l.listen(at)
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			l.keep(c)
			l.wg.Go(func() {
				defer func() { _ = c.Close() }()
				if _, err := io.WriteString(c, banner); err == nil {
					_, _ = io.Copy(c, io.TeeReader(c, &l.Journal))
				}
			})
		}
	})
	return nil
}

// ServeUDPEcho starts a UDP server at addr:port that sends back what it gets,
// with its own address before it.
func (l *Lab) ServeUDPEcho(at string) error {
	c, err := l.listenUDP(at)
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = l.Journal.Write(buf[:n])
			_, _ = c.WriteToUDPAddrPort(append([]byte(at+" "), buf[:n]...), from)
		}
	})
	return nil
}
