// Package watch notices when an environment comes up against its limits, and keeps
// usage.Record.
//
// Where the kernel tells, it waits: v2 changes memory.events and pids.events, and inotify
// sees that; v1 signals memory.oom_control on an eventfd. What no kernel tells, such as
// that the CPU was throttled, a slow timer looks at, and so does Flush, which is asked
// when a command has failed. A sandbox that comes up against a limit all the time costs
// one look each pause, not more.
package watch

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

const (
	every  = 5 * time.Second        // between two looks that nobody asked for
	second = time.Second            // likewise where I/O has bandwidths
	pause  = 200 * time.Millisecond // at least, between two looks because of events
)

// Bandwidths are the limits of I/O, per second; 0 is none.
type Bandwidths struct{ ReadBPS, WriteBPS, ReadIOPS, WriteIOPS uint64 }

// A Watch is of one environment. Its methods may be called by several goroutines.
type Watch struct {
	env    state.Env
	groups usage.Groups
	log    *slog.Logger

	mu      sync.Mutex // of all below
	record  usage.Record
	bounds  Bandwidths
	io      state.IO // at the last look
	looked  time.Time
	victims *victims

	cancel context.CancelFunc
	done   chan struct{}
}

// Start begins to watch. It goes on with the record that another process left; what
// was reached in between is counted once. A group without a record has counted nothing
// that matters yet: it is new, or another version's. The watch outlives ctx.
func Start(ctx context.Context, env state.Env, groups usage.Groups, bounds Bandwidths, log *slog.Logger) (*Watch, error) {
	r, ok, err := usage.LoadRecord(env)
	if err != nil {
		log.Warn("record of limits starts anew", "env", env.ID, "err", err)
		r, ok = usage.Record{}, false
	}
	w := &Watch{env: env, groups: groups, log: log, record: r, bounds: bounds, done: make(chan struct{}), victims: openVictims(env.Cgroup)}
	if !ok {
		w.record.Seen = groups.Count()
		if err := w.record.Store(env); err != nil {
			w.victims.close()
			return nil, err
		}
	}
	w.io, w.looked = groups.Read().IO, time.Now()
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go w.run(ctx, signals(ctx, groups))
	return w, nil
}

// Groups are those that are watched.
func (w *Watch) Groups() usage.Groups { return w.groups }

// Bound sets the bandwidths that hold from now on.
func (w *Watch) Bound(b Bandwidths) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bounds = b
}

// Close ends the watch. The record stays.
func (w *Watch) Close() {
	w.cancel()
	<-w.done
}

// run looks whenever there is a reason.
func (w *Watch) run(ctx context.Context, events <-chan struct{}) {
	defer close(w.done)
	defer w.victims.close()
	tick := time.NewTimer(w.interval())
	defer tick.Stop()
	for {
		next := w.interval()
		select {
		case <-ctx.Done():
			return
		case <-events:
			next = pause // v1 tells that memory is short, and counts the victim a little later
		case <-tick.C:
		}
		if err := w.Flush(); err != nil {
			w.log.Warn("note limits that were reached", "env", w.env.ID, "err", err)
		}
		tick.Reset(next)
		select { // events that come meanwhile are one
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (w *Watch) interval() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bounds != (Bandwidths{}) {
		return second
	}
	return every
}

// Flush returns when what was reached before the call is on record.
func (w *Watch) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now().UTC()
	counts := w.groups.Count()
	change := counts.Since(w.record.Seen)
	hits := append(w.hits(now, change), w.bandwidths(now)...)
	if len(hits) == 0 {
		return nil // periods of the CPU go on all the time: that alone is not worth a write
	}
	next := w.record
	next.Hits = append([]state.Hit{}, next.Hits...)
	next.Reached = map[string]state.Reached{}
	for limit, r := range w.record.Reached {
		next.Reached[limit] = r
	}
	next.Seen = counts
	for _, h := range hits {
		if h.Limit == usage.CPU && !change.Slowed() {
			next.Count(h) // as every burst is
		} else {
			next.Add(h)
		}
	}
	if err := next.Store(w.env); err != nil {
		if _, gone := os.Lstat(w.env.Run); gone != nil {
			return nil // it is being destroyed
		}
		return err // and counted by the next look
	}
	w.record = next
	return nil
}

// hits are the limits that were reached as the kernel counts.
func (w *Watch) hits(now time.Time, change usage.Change) []state.Hit {
	var out []state.Hit
	var is state.Usage
	if len(change.By) > 0 {
		is = w.groups.Read()
	}
	for _, limit := range []string{usage.MemoryMax, usage.MemoryHigh, usage.PIDs, usage.CPU} {
		n := change.By[limit]
		if n == 0 {
			continue
		}
		h := state.Hit{Time: now, Limit: limit, Count: n, Peak: usage.Peak(is, limit)}
		switch limit {
		case usage.MemoryMax:
			h.Victims = w.victims.since(int(n))
		case usage.CPU:
			h.Waited = change.Waited
		}
		out = append(out, h)
	}
	return out
}

// nearly is the part of a bandwidth, in percent, that counts as all of it: the kernel
// gives it out in slices, and no program asks without a gap.
const nearly = 90

// bandwidths are those of I/O that were used up since the last look: no kernel counts
// that. Count is in seconds.
func (w *Watch) bandwidths(now time.Time) []state.Hit {
	took := now.Sub(w.looked)
	if w.bounds == (Bandwidths{}) || took < second {
		return nil
	}
	is, was := w.groups.Read().IO, w.io
	w.io, w.looked = is, now
	if took > 2*every {
		return nil // nobody knows how it was spread
	}
	var out []state.Hit
	for _, b := range []struct {
		limit string
		most  uint64
		n     uint64
	}{
		{"io.read_bps", w.bounds.ReadBPS, is.Read - min(was.Read, is.Read)},
		{"io.write_bps", w.bounds.WriteBPS, is.Written - min(was.Written, is.Written)},
		{"io.read_iops", w.bounds.ReadIOPS, is.Reads - min(was.Reads, is.Reads)},
		{"io.write_iops", w.bounds.WriteIOPS, is.Writes - min(was.Writes, is.Writes)},
	} {
		if b.most > 0 && float64(b.n)*100 >= float64(b.most)*took.Seconds()*nearly {
			out = append(out, state.Hit{From: now.Add(-took), Time: now, Limit: b.limit, Count: uint64(took.Round(time.Second) / time.Second)})
		}
	}
	return out
}
