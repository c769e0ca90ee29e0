package denial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of the record: a sandbox decides how often it is refused.
const (
	maxSize   = 4 << 20     // bytes; past it the older half goes
	perSecond = 50          // lines, in the long run
	burst     = 500         // lines, at once
	sameFor   = time.Second // the same thing by the same process again within this time is one
	blindFor  = sameFor / 4 // likewise if the process is not known
	maxRecent = 1024        // things remembered for that
	maxWord   = 256         // bytes of what the sandbox chose
)

// A Log writes the record. It may be used by several goroutines.
type Log struct {
	mu     sync.Mutex
	f      *os.File
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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open record of denials: %w", err)
	}
	return &Log{f: f, limit: rate.NewLimiter(perSecond, burst), recent: map[key]time.Time{}}, nil
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
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("record denial: %w", err)
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("record denial: %w", err)
	}
	return l.trim()
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
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

// trim drops the older half of a record that grew too long. It shortens the
// file in place, as the sandbox may see it through a mount.
func (l *Log) trim() error {
	fi, err := l.f.Stat()
	if err != nil || fi.Size() <= maxSize {
		return err
	}
	half := make([]byte, maxSize/2)
	n, err := l.f.ReadAt(half, fi.Size()-int64(len(half)))
	if err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	half = half[:n]
	half = half[bytes.IndexByte(half, '\n')+1:]
	if err := l.f.Truncate(0); err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	if _, err := l.f.Write(half); err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	return nil
}

func bound(s string) string { return s[:min(len(s), maxWord)] }
