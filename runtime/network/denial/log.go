package denial

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of the record: a sandbox decides how often it is refused.
const (
	maxSize   = 4 << 20     // bytes; past it the older half goes
	maxShown  = 256 << 10   // likewise, of what the sandbox sees
	perSecond = 50          // lines, in the long run
	burst     = 500         // lines, at once
	sameFor   = time.Second // the same thing by the same process again within this time is one
	blindFor  = sameFor / 4 // likewise if the process is not known
	maxRecent = 1024        // things remembered for that
	maxWord   = 256         // bytes of what the sandbox chose
)

// A Log writes the record. It may be used by several goroutines.
type Log struct {
	Tell func(Denial) // is called with each denial that goes on record; must not wait, or be changed once Add is called

	mu     sync.Mutex
	file   *record
	shown  *record  // to the sandbox; nil is none
	choice []string // of Shown
	limit  *rate.Limiter
	recent map[key]time.Time
	missed int
}

// key is what makes two denials the same to a person.
type key struct {
	op, target, proto, reason string
	pid                       int
}

// Open opens or makes the record at path, for root only.
func Open(path string) (*Log, error) {
	f, err := openRecord(path, 0o600, maxSize)
	if err != nil {
		return nil, err
	}
	return &Log{file: f, limit: rate.NewLimiter(perSecond, burst), recent: map[key]time.Time{}}, nil
}

// Add writes d, unless the same was written just now or there are too many.
func (l *Log) Add(d Denial) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.Time.IsZero() {
		d.Time = time.Now()
	}
	d.Kind = "network"
	d.Host, d.Command, d.Script, d.Where = bound(d.Host), bound(d.Command), bound(d.Script), bound(d.Where)
	if l.repeated(d) {
		return nil
	}
	if !l.limit.AllowN(d.Time, 1) {
		l.missed++
		return nil
	}
	d.Missed, l.missed = l.missed, 0
	if l.shown != nil { // first: who was refused may wait for it
		if err := l.shown.add(d.show(l.choice)); err != nil {
			return err
		}
	}
	if l.Tell != nil {
		l.Tell(d)
	}
	return l.file.add(d)
}

// Close closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown != nil {
		return errors.Join(l.file.f.Close(), l.shown.f.Close())
	}
	return l.file.f.Close()
}

// repeated remembers d and reports whether it was there already.
func (l *Log) repeated(d Denial) bool {
	if len(l.recent) >= maxRecent {
		for k, t := range l.recent {
			if d.Time.Sub(t) >= sameFor {
				delete(l.recent, k)
			}
		}
		if len(l.recent) >= maxRecent {
			clear(l.recent)
		}
	}
	window := sameFor
	if d.HostPID == 0 {
		window = blindFor
	}
	k := keyOf(d)
	t, ok := l.recent[k]
	if ok && d.Time.Sub(t) < window {
		return true
	}
	l.recent[k] = d.Time
	return false
}

func keyOf(d Denial) key { return key{d.Op, d.Target(), d.Protocol, d.Reason, d.HostPID} }

func bound(s string) string { return s[:min(len(s), maxWord)] }
