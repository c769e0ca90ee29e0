package who

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// Bounds of looking for processes: one search takes from 1 ms to 100 ms, by how many
// sockets and files a sandbox has, and it decides that, and how often it is looked
// for. A question is one to the kernel and to those processes that were found before,
// some 50 µs. Searches leave the questions theirs: it is a tenth of a core in all.
const (
	askShare    = 20 * time.Millisecond  // of each second of one core, for questions
	searchShare = 80 * time.Millisecond  // likewise, for searches
	lookBurst   = 250 * time.Millisecond // after a while without
)

// searches are made one at a time, for as long as there is time for them.
type searches struct {
	mu   sync.Mutex
	time *rate.Limiter // in microseconds
}

// searchesFor has share of each second, and burst after a while without.
func searchesFor(share, burst time.Duration) *searches {
	return &searches{time: rate.NewLimiter(rate.Limit(share.Microseconds()), int(burst.Microseconds()))}
}

// make calls search and reports so, unless the time for that is used up. What counts is
// the processor's: a search on a busy host takes longer and costs the same.
func (s *searches) make(search func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.time.Tokens() < 1 {
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	search()
	took := min(int((threadTime() - start).Microseconds()), s.time.Burst())
	s.time.ReserveN(time.Now(), max(1, took)) // may be more than there was
	return true
}

// threadTime is what the thread has had of a processor.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // never fails; see clock_gettime(2)
	return time.Duration(t.Nano())
}
