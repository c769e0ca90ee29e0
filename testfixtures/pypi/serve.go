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
	s, err := Start("127.0.0.1:0", x)
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

// Start serves x on a TCP address, like "127.0.0.1:0", until Close.
func Start(addr string, x *Index) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for index: %w", err)
	}
	s := &Server{
		URL:  "http://" + l.Addr().String() + "/simple/",
		http: &http.Server{Handler: x, ReadHeaderTimeout: 10 * time.Second},
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
