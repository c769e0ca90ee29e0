package meter

import (
	"context"
	"sync"
	"time"
)

// Bounds of how evenly bytes go.
const (
	burstFor = 10 * time.Millisecond // of the rate, may go at once
	pieceFor = 2 * time.Millisecond  // of the rate, is in one piece
	lateFor  = 40 * time.Millisecond // of the rate, is made up for if this process was given no time
	packet   = 1500                  // bytes; a burst is not less
	minPiece = 1460                  // bytes; the payload of a TCP packet
	maxPiece = 16 << 10              // bytes; each connection that waits holds as many
)

// A bucket lets bytes through at a rate. Who asks first is served first, so that
// nobody waits for ever; and only who is served waits for time to pass, so that
// nothing is lost with one who gives up.
type bucket struct {
	turn chan struct{} // full while somebody is served; senders line up

	mu      sync.Mutex
	rate    float64       // bytes/s; 0 is no limit
	level   float64       // bytes that may go now; below 0 after a datagram larger than a burst
	last    time.Time     // of level
	changed chan struct{} // closed with the next change of rate
}

func newBucket() *bucket {
	return &bucket{turn: make(chan struct{}, 1), changed: make(chan struct{})}
}

// set changes the rate, in bit/s; 0 is no limit. Who is being served is served by it.
func (b *bucket) set(bits int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rate := float64(bits) / 8
	if rate == b.rate {
		return
	}
	b.fill(time.Now())
	b.rate = rate
	b.level = min(b.level, b.burst())
	close(b.changed)
	b.changed = make(chan struct{})
}

// take returns when n bytes may go, with the time that took, or when ctx is done.
func (b *bucket) take(ctx context.Context, n int) (waited time.Duration, err error) {
	if !b.limited() {
		return 0, nil
	}
	start := time.Now()
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return time.Since(start), ctx.Err()
	}
	defer func() { <-b.turn }()
	for {
		left, changed := b.try(n)
		if left == 0 {
			return time.Since(start), nil
		}
		due := time.Now().Add(left)
		t := time.NewTimer(left)
		select {
		case <-t.C:
			b.late(time.Since(due))
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			return time.Since(start), ctx.Err()
		}
		t.Stop()
	}
}

// try takes n bytes, or says how long that is off.
func (b *bucket) try(n int) (left time.Duration, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return 0, b.changed
	}
	b.fill(time.Now())
	need := min(float64(n), b.burst())
	if b.level >= need {
		b.level -= float64(n)
		return 0, b.changed
	}
	return time.Duration((need-b.level)/b.rate*float64(time.Second)) + 1, b.changed
}

// fill adds what has come since it was filled last. A bucket without a rate is full.
func (b *bucket) fill(now time.Time) {
	if b.last.IsZero() || b.rate == 0 {
		b.level = b.burst()
	} else {
		b.level = max(b.level, min(b.level+now.Sub(b.last).Seconds()*b.rate, b.burst()))
	}
	b.last = now
}

// late makes up for a wait that was longer than it should have been: somebody was
// there for these bytes. On a busy machine the rate would be less by all of that.
func (b *bucket) late(by time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.burst() + min(by, lateFor).Seconds()*b.rate
	now := time.Now()
	b.level = max(b.level, min(b.level+now.Sub(b.last).Seconds()*b.rate, most))
	b.last = now
}

func (b *bucket) burst() float64 { return max(b.rate*burstFor.Seconds(), packet) }

func (b *bucket) limited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate != 0
}

// piece is how much goes through in one piece, in bytes.
func (b *bucket) piece() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return maxPiece
	}
	return min(max(int(b.rate*pieceFor.Seconds()), minPiece), maxPiece)
}

// tokens are how many connections may be new. As many as in one Per may come at once.
type tokens struct {
	level float64
	last  time.Time
}

// ready reports whether one more may come at n in per; 0 is no limit.
func (t *tokens) ready(n int64, per time.Duration, now time.Time) bool {
	if n == 0 {
		return true
	}
	if t.last.IsZero() {
		t.level = float64(n)
	} else {
		t.level = min(t.level+now.Sub(t.last).Seconds()/per.Seconds()*float64(n), float64(n))
	}
	t.last = now
	return t.level >= 1
}

// take is for one that ready let come.
func (t *tokens) take() { t.level-- }
