package usage

import (
	"slices"
	"time"

	"blast.example/blast/state"
)

// A Record is what was noticed of limits while an environment is up. It is one note,
// which is replaced as a whole: what was counted is in it together with the counters that
// it was counted by, so a daemon that dies counts nothing twice.
type Record struct {
	Seen    Counts                   `json:"seen"`
	Reached map[string]state.Reached `json:"reached,omitempty"`
	Hits    []state.Hit              `json:"hits,omitempty"` // the last ones, in order of time
}

const recordNote = "resource-record"

// LoadRecord returns the record of an environment, and whether there is one.
func LoadRecord(env state.Env) (r Record, ok bool, err error) {
	ok, err = env.ReadNote(recordNote, &r)
	return r, ok, err
}

// Store replaces the record.
func (r Record) Store(env state.Env) error { return env.WriteNote(recordNote, r) }

// DropRecord removes the record.
func DropRecord(env state.Env) error { return env.DropNote(recordNote) }

// Bounds of the record: a sandbox decides how often it comes up against a limit.
const (
	maxHits    = 8               // of each limit
	maxVictims = 8               // of each hit; the count has all
	inARow     = 2 * time.Second // hits with no more time between them are one
)

// Count notes that a limit was reached, as a number.
func (r *Record) Count(h state.Hit) {
	if r.Reached == nil {
		r.Reached = map[string]state.Reached{}
	}
	all := r.Reached[h.Limit]
	r.Reached[h.Limit] = state.Reached{Count: all.Count + h.Count, Waited: all.Waited + h.Waited, Last: h.Time}
}

// Add is Count for what a person may want to know more about. The last hits of each
// limit stay, so that one that is reached all the time doesn't hide another.
func (r *Record) Add(h state.Hit) {
	r.Count(h)
	if h.From.IsZero() {
		h.From = h.Time
	}
	if i := r.last(h.Limit); i >= 0 && h.From.Sub(r.Hits[i].Time) <= inARow {
		was := r.Hits[i]
		h.From, h.Count, h.Waited = was.From, h.Count+was.Count, h.Waited+was.Waited
		h.Peak, h.Victims = max(h.Peak, was.Peak), slices.Concat(was.Victims, h.Victims)
		r.Hits = slices.Delete(r.Hits, i, i+1)
	}
	h.Victims = h.Victims[max(0, len(h.Victims)-maxVictims):]
	r.Hits = append(r.Hits, h)
	r.trim(h.Limit)
}

func (r *Record) last(limit string) int {
	for i := len(r.Hits) - 1; i >= 0; i-- {
		if r.Hits[i].Limit == limit {
			return i
		}
	}
	return -1
}

// trim drops the oldest hits of a limit that has too many.
func (r *Record) trim(limit string) {
	n := 0
	for i := len(r.Hits) - 1; i >= 0; i-- {
		if r.Hits[i].Limit != limit {
			continue
		}
		if n++; n > maxHits {
			r.Hits = slices.Delete(r.Hits, i, i+1)
		}
	}
}
