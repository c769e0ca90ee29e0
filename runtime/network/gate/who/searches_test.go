package who

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSearchesTakeNoMoreThanTheirTime: whoever is refused waits for the search, so many
// refusals of a sandbox with many sockets must not each wait for all before.
func TestSearchesTakeNoMoreThanTheirTime(t *testing.T) {
	s := searchesFor(searchShare, lookBurst)
	if !s.make(func() {}) {
		t.Fatal("the first was not made")
	}
	const each, tries = 20 * time.Millisecond, 200
	var made atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range tries {
		wg.Go(func() {
			if s.make(func() { work(each) }) {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	most := int64((lookBurst+time.Duration(float64(took)*searchShare.Seconds()))/each) + 2
	if n := made.Load(); n < 5 || n > most {
		t.Errorf("%d of %d were made in %v, want 5 to %d", n, tries, took, most)
	}
	for end := time.Now().Add(10 * time.Second); !s.make(func() {}); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("none is made any more")
		}
	}
}

// work takes so much of a processor.
func work(d time.Duration) {
	for start := threadTime(); threadTime()-start < d; {
	}
}
