package gate

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of looking for processes: one search takes from 1 ms to 100 ms, by how many
// sockets and files a sandbox has, and it decides that, and how often it is refused.
const (
	searchShare = 100 * time.Millisecond // of each second of one core
	searchBurst = 250 * time.Millisecond // after a while without
)

// searches are made one at a time, for as long as there is time for them.
type searches struct {
	mu   sync.Mutex
	time *rate.Limiter // in microseconds
}

func newSearches() *searches {
	return &searches{time: rate.NewLimiter(rate.Limit(searchShare.Microseconds()), int(searchBurst.Microseconds()))}
}

// make calls search and reports so, unless the time for that is used up. Who waits for its turn
// doesn't wait for more than that time.
func (s *searches) make(search func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.time.Tokens() < 1 {
		return false
	}
	start := time.Now()
	search()
	took := min(time.Since(start), searchBurst)
	s.time.ReserveN(time.Now(), max(1, int(took.Microseconds()))) // may be more than there was
	return true
}
