package netlab

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"time"
)

// Serve starts a web server at addr:port that answers with h, until it or the lab is closed.
func (l *Lab) Serve(at string, h http.Handler) (io.Closer, error) {
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	s := l.server(h)
	l.wg.Go(func() { _ = s.Serve(ln) })
	return s, nil
}

// ServeSecure is Serve with TLS, for these names, and with HTTP/2 for clients that offer it.
func (l *Lab) ServeSecure(at string, h http.Handler, names ...string) (io.Closer, error) {
	cert, err := l.Authority.certificate(names...)
	if err != nil {
		return nil, err
	}
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	s := l.server(h)
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	l.wg.Go(func() { _ = s.ServeTLS(ln, "", "") })
	return s, nil
}

// server is one that says nothing, and closes no connection that is silent.
func (l *Lab) server(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, IdleTimeout: time.Hour, ErrorLog: log.New(io.Discard, "", 0)}
	l.keep(s)
	return s
}
