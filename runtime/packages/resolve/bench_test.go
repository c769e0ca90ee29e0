package resolve_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// BenchmarkSixty resolves 60 projects of 40 versions on an index on loopback,
// with what was fetched before in the cache.
func BenchmarkSixty(b *testing.B) {
	var lines []string
	for n := range 60 {
		for v := range 40 {
			var needs []string
			for k := 1; k <= 4 && n+k*k < 60; k++ {
				needs = append(needs, fmt.Sprintf("pkg%02d>=1.%d", n+k*k, v/2))
			}
			lines = append(lines, fmt.Sprintf("pkg%02d 1.%d.0: %s", n, v, strings.Join(needs, ", ")))
		}
	}
	x, _ := serve(b, lines...)
	s := newSetup(b, unchanged(b, x), "pkg00", "pkg01<1.30", "pkg02!=1.39.0")
	s.must(b)
	for b.Loop() {
		if set, diags := s.resolve(b); diags.HasErrors() || len(set.Packages) != 60 {
			b.Fatal(text(diags), len(set.Packages))
		}
	}
}

// unchanged serves x, but answers what was asked before without making it again:
// it shares the machine, which an index doesn't.
func unchanged(b *testing.B, x http.Handler) string {
	var mu sync.Mutex
	seen := map[string]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tag := seen[r.URL.Path]
		mu.Unlock()
		if tag != "" && r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		x.ServeHTTP(w, r)
		mu.Lock()
		seen[r.URL.Path] = w.Header().Get("ETag")
		mu.Unlock()
	}))
	b.Cleanup(srv.Close)
	return srv.URL + "/simple/"
}

// BenchmarkLocked is what a plan costs when nothing changed.
func BenchmarkLocked(b *testing.B) {
	var lines []string
	for n := range 60 {
		lines = append(lines, fmt.Sprintf("pkg%02d 1: pkg%02d", n, min(n+1, 59)))
	}
	_, root := serve(b, lines...)
	s := newSetup(b, root, "pkg00")
	set, _ := s.resolve(b)
	if err := os.WriteFile(s.lockFile(), []byte(set.Lock.Content), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if set, _ := s.resolve(b); len(set.Packages) != 60 {
			b.Fatal(len(set.Packages))
		}
	}
}
