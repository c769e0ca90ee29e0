package meter

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mbit = 1_000_000

// pump takes pieces for a time and returns the bytes, and the longest gap.
func pump(t *testing.T, b *bucket, span time.Duration) (bytes int, gap time.Duration) {
	t.Helper()
	end, last := time.Now().Add(span), time.Now()
	for time.Now().Before(end) {
		n := b.piece()
		if _, err := b.take(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		gap, last = max(gap, time.Since(last)), time.Now()
		bytes += n
	}
	return bytes, gap
}

func TestRate(t *testing.T) {
	for _, rate := range []int64{8_000, 64_000, mbit, 10 * mbit, 100 * mbit, 2000 * mbit} {
		synctest.Test(t, func(t *testing.T) {
			b := newBucket()
			b.set(rate)
			span := max(time.Second, 20*time.Second/time.Duration(1+rate/(10*mbit)))
			got, gap := pump(t, b, span)
			want := float64(rate) / 8 * span.Seconds()
			if over := float64(got) - want; math.Abs(over) > b.burst()+float64(b.piece()) {
				t.Errorf("%d bit/s: %d bytes, want %.0f", rate, got, want)
			}
			most := time.Duration(float64(b.piece())/(float64(rate)/8)*float64(time.Second)) + time.Microsecond
			if gap > most || rate >= 10*mbit && gap > 3*time.Millisecond {
				t.Errorf("%d bit/s: a gap of %v, want at most %v", rate, gap, most)
			}
		})
	}
}

// No more than a burst goes at once, however long nothing went.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.set(10 * mbit)
		for range 3 {
			time.Sleep(time.Hour)
			n := 0
			for left := time.Duration(0); left == 0; {
				if left, _ = b.try(100); left == 0 {
					n += 100
				}
			}
			if want := 12500; n > want {
				t.Errorf("%d bytes at once, want %d", n, want)
			}
		}
	})
}

// What went by while a process waited for the CPU is made up for, to a bound.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late, most := range map[time.Duration]float64{0: 12_500, 20 * time.Millisecond: 37_500, time.Hour: 62_500} {
			b := newBucket()
			b.set(10 * mbit)
			_, _ = b.take(t.Context(), 12_500)
			time.Sleep(10*time.Millisecond + late)
			b.late(late)
			if left, _ := b.try(1); left != 0 || b.level > most || late < time.Hour && b.level < most-1 {
				t.Errorf("%v late: %.0f bytes may go, want %.0f", late, b.level, most)
			}
			b.set(8000)
			if b.level > packet {
				t.Errorf("%v late: %.0f bytes are left at a lower rate", late, b.level)
			}
		}
	})
}

// A datagram that is larger than a burst goes, and is paid for afterwards.
func TestLargerThanABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.set(8000)
		start := time.Now()
		for range 3 {
			if _, err := b.take(t.Context(), 60_000); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 119*time.Second || d > 121*time.Second {
			t.Errorf("took %v, want two minutes: the third is paid for later", d)
		}
	})
}

// Each of many gets its part.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.set(10 * mbit)
		ctx, cancel := context.WithCancel(t.Context())
		got := make([]int, 200)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				for {
					n := 1460 // also one who asks for little pieces
					if i%2 == 0 {
						n = 500
					}
					if _, err := b.take(ctx, n); err != nil {
						return
					}
					got[i] += n
				}
			})
		}
		time.Sleep(20 * time.Second)
		cancel()
		wg.Wait()
		sum := 0
		for i, n := range got {
			sum += n
			if want := 25_000_000 / 200; n < want/3 || n > want*2 {
				t.Errorf("%d got %d bytes", i, n)
			}
		}
		if sum < 24_900_000 || sum > 25_100_000 {
			t.Errorf("%d bytes together", sum)
		}
	})
}

// Who waits goes on at the pace that is set meanwhile.
func TestRateChangesWhileOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.set(8000)
		_, _ = b.take(t.Context(), 100_000) // 100 seconds of debt
		var done [3]time.Duration
		start := time.Now()
		var wg sync.WaitGroup
		for i := range done {
			wg.Go(func() {
				_, _ = b.take(t.Context(), 1000)
				done[i] = time.Since(start)
			})
		}
		time.Sleep(time.Second)
		b.set(80_000)
		time.Sleep(time.Second)
		b.set(0)
		wg.Wait()
		for _, d := range done {
			if d != 2*time.Second {
				t.Errorf("waited %v after the limit was gone", d)
			}
		}
		if d, err := b.take(t.Context(), 1<<30); d != 0 || err != nil {
			t.Errorf("without a rate: %v, %v", d, err)
		}
	})
}

// Who gives up costs the others nothing.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.set(80_000) // 10 kB/s
		_, _ = b.take(t.Context(), 1500)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := b.take(ctx, 1400); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if _, err := b.take(t.Context(), 1000); err != nil || time.Since(start) > 101*time.Millisecond {
			t.Errorf("%v after %v, want 100ms", err, time.Since(start))
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k tokens
		come := func() (n int) {
			for k.ready(20, time.Minute, time.Now()) {
				k.take()
				n++
			}
			return n
		}
		for i, step := range []struct {
			after time.Duration
			want  int
		}{{0, 20}, {0, 0}, {3 * time.Second, 1}, {2 * time.Second, 0}, {time.Second, 1}, {30 * time.Second, 10}, {24 * time.Hour, 20}} {
			time.Sleep(step.after)
			if got := come(); got != step.want {
				t.Errorf("step %d: %d came, want %d", i, got, step.want)
			}
		}
		if !k.ready(0, 0, time.Now()) {
			t.Error("no limit refuses")
		}
	})
}
