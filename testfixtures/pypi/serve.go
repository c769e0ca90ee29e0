package pypi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// Serve serves x on loopback until the test ends, and returns the root of the
// simple API, with a slash at its end.
func Serve(t testing.TB, x *Index) string {
	t.Helper()
	return serve(t, x)
}

// ServeTo is Serve for those who log in (RFC 7617): for everything, wheels too.
func ServeTo(t testing.TB, x *Index, user, password string) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="packages"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		x.ServeHTTP(w, r)
	}))
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s, err := Start("127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close index: %v", err)
		}
	})
	return s.URL
}

// Server is a running index.
type Server struct {
	URL  string // root of the simple API: http://127.0.0.1:4040/simple/
	http *http.Server
	done chan error
}

// Start serves h, mostly an Index, on a TCP address, like "127.0.0.1:0", until Close.
func Start(addr string, h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for index: %w", err)
	}
	s := &Server{
		URL:  "http://" + l.Addr().String() + "/simple/",
		http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Close ends the server and waits for it. Requests that are being answered are
// cut off: a stalled one would never end.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		if err := s.http.Close(); err != nil {
			return err
		}
	}
	if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
