package index_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/testfixtures/pypi"
)

// TestWholeWheelsOneByOne: a server that knows no ranges and doesn't say how much it
// sends fills the memory with one wheel at a time.
func TestWholeWheelsOneByOne(t *testing.T) {
	wheel := pypi.MakeWheel("big", "1.0", nil, map[string]string{"big.py": "x = 1\n"})
	var now, most, short atomic.Int64
	srv := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			if strings.Contains(r.URL.Path, "small") {
				short.Add(1)
				_, _ = w.Write(wheel) // with a length
				return
			}
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done() // endless, unless nobody reads it
			return
		}
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		half := len(wheel) / 2
		_, _ = w.Write(wheel[:half])
		w.(http.Flusher).Flush()
		now.Add(-1) // before the client can have read all
		_, _ = w.Write(wheel[half:])
	})
	c := client(srv.URL)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			b, err := c.Metadata(t.Context(), index.File{Name: "big-1.0-py3-none-any.whl", URL: srv.URL + "/big-1.0-py3-none-any.whl"})
			if err != nil || !strings.Contains(string(b), "Name: big") {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d wheels at once", most.Load())
	}
	b, err := c.Metadata(t.Context(), index.File{Name: "big-1.0-py3-none-any.whl", URL: srv.URL + "/small/big-1.0-py3-none-any.whl"})
	if err != nil || len(b) == 0 || short.Load() != 1 {
		t.Errorf("a small one: %q, %v, %d requests", b, err, short.Load())
	}
}
