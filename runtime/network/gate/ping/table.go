package ping

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// remember makes numbers for a request that nobody can guess: the host has other
// programs that ping, and the world could answer what was never asked.
func (r *Relay) remember(e echo) (asked, bool) {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	k := asked{e.dst, binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint16(b[2:])}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) >= maxOpen {
		r.forget(time.Now())
	}
	if _, taken := r.open[k]; taken || len(r.open) >= maxOpen {
		return asked{}, false
	}
	r.open[k] = request{src: e.src, id: e.id, seq: e.seq, at: time.Now()}
	return k, true
}

// forget drops what was not answered in time.
func (r *Relay) forget(now time.Time) {
	for k, q := range r.open {
		if now.Sub(q.at) > waitFor {
			delete(r.open, k)
		}
	}
}

// recall returns the request that is answered, once.
func (r *Relay) recall(k asked) (request, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q, ok := r.open[k]
	delete(r.open, k)
	return q, ok && time.Since(q.at) <= waitFor
}
