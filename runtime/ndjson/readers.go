package ndjson

// MaxQueue is how many lines wait for a reader. What comes when it is full the reader
// misses; who writes never waits.
const MaxQueue = 1024

// Readers follow a record. All of it is used under the record's own lock; the zero value
// has no readers.
type Readers struct{ all map[*Reader]struct{} }

// A Reader is one of them.
type Reader struct {
	Lines  chan []byte
	missed uint64
}

// Add makes a reader, that hears what is published from now on.
func (rs *Readers) Add() *Reader {
	if rs.all == nil {
		rs.all = map[*Reader]struct{}{}
	}
	r := &Reader{Lines: make(chan []byte, MaxQueue)}
	rs.all[r] = struct{}{}
	return r
}

// Remove ends a reader. A nil one, or one that has ended, is none.
func (rs *Readers) Remove(r *Reader) { delete(rs.all, r) }

// Len is how many there are.
func (rs *Readers) Len() int { return len(rs.all) }

// Publish hands a line to all readers.
func (rs *Readers) Publish(line []byte) {
	for r := range rs.all {
		select {
		case r.Lines <- line:
		default:
			r.missed++
		}
	}
}

// Missed is how many lines a reader missed since it was asked last, once there is room
// for more.
func (r *Reader) Missed() uint64 {
	if len(r.Lines) == cap(r.Lines) {
		return 0
	}
	n := r.missed
	r.missed = 0
	return n
}
