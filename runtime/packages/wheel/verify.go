package wheel

import (
	"bytes"
	"fmt"
	"hash"
	"io"
)

// verifier is a file of the archive that is hashed while it is read.
type verifier struct {
	r    io.Reader
	want row
	hash hash.Hash // nil for the files that can't have one
	n    uint64
}

func (w row) verify(r io.Reader) *verifier {
	v := &verifier{r: r, want: w}
	if w.algorithm != "" {
		v.hash = algorithms[w.algorithm]()
	}
	return v
}

// Read reads from the archive.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.n += uint64(n) //nolint:gosec // a count
	if v.hash != nil {
		_, _ = v.hash.Write(p[:n]) // a hash takes every write
	}
	return n, err
}

// check reports whether what was read is what RECORD and the archive promise.
func (v *verifier) check(size uint64) error {
	switch {
	case v.n != size:
		return fmt.Errorf("it has %d bytes, not %d as the archive says", v.n, size)
	case v.want.size >= 0 && uint64(v.want.size) != v.n:
		return fmt.Errorf("it has %d bytes, not %d as RECORD says", v.n, v.want.size)
	case v.hash != nil && !bytes.Equal(v.hash.Sum(nil), v.want.sum):
		return fmt.Errorf("its %s is not the one in RECORD", v.want.algorithm)
	}
	return nil
}
