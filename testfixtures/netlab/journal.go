package netlab

import (
	"bytes"
	"sync"
)

// A Journal is what the servers of a lab were told, in the order in which it came.
// It may be used by several goroutines.
type Journal struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// maxJournal bounds a journal, in bytes: floods are counted elsewhere.
const maxJournal = 64 << 20

// Write implements io.Writer. It never fails; what is too much is left out.
func (j *Journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.said.Len() < maxJournal {
		j.said.Write(b)
	}
	return len(b), nil
}

// Bytes returns what was written from an offset on.
func (j *Journal) Bytes(from int) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.said.Bytes()[min(from, j.said.Len()):])
}

// Len is how much was written so far.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.said.Len()
}
