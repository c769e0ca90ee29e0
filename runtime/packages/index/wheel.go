package index

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	piece     = 64 << 10 // bytes that are fetched at once
	maxPieces = 100
)

// fromWheel reads METADATA out of a wheel, of which it fetches only pieces if
// the server can do that. Pieces can't be checked against the wheel's hash; the
// wheel is, when it is installed.
func (c *Client) fromWheel(ctx context.Context, f File) ([]byte, error) {
	r := request{at: f.URL, accept: "*/*", ranges: fmt.Sprintf("bytes=-%d", piece), limit: maxWhole}
	tail, err := c.get(ctx, r)
	var status *Error
	if errors.As(err, &status) && (status.Status == http.StatusRequestedRangeNotSatisfiable || status.Status == http.StatusNotImplemented) {
		err = errWhole // it knows ranges, but none from the end
	}
	if errors.Is(err, errWhole) {
		done, werr := c.alone(ctx)
		if werr != nil {
			return nil, werr
		}
		defer done()
		r.ranges = ""
		tail, err = c.get(ctx, r)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, broken(f.URL, "the index lists this file, and it is not there")
	}
	if err != nil {
		return nil, err
	}
	if tail.whole {
		if f.SHA256 != "" && sum(tail.body) != f.SHA256 {
			return nil, tampered(f.URL)
		}
		return metadataOf(f, bytes.NewReader(tail.body), int64(len(tail.body)))
	}
	if tail.total > maxWheel {
		return nil, broken(f.URL, fmt.Sprintf("the wheel is larger than %d bytes", int64(maxWheel)))
	}
	far := &remote{ctx: ctx, c: c, at: f.URL, total: tail.total, pieces: map[int64][]byte{tail.first: tail.body}}
	b, err := metadataOf(f, far, tail.total)
	if far.err != nil {
		return nil, far.err
	}
	return b, err
}

// alone waits until nobody else holds a whole wheel in memory.
func (c *Client) alone(ctx context.Context) (done func(), err error) {
	c.client()
	select {
	case c.whole <- struct{}{}:
		return func() { <-c.whole }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxWhole is what is taken of a wheel whose server knows no ranges.
const maxWhole = 512 << 20

// remote reads a file in pieces.
type remote struct {
	ctx    context.Context
	c      *Client
	at     string
	total  int64
	pieces map[int64][]byte // by where they begin
	err    error            // the first one of the network
}

// ReadAt implements io.ReaderAt.
func (r *remote) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off+int64(n) < r.total {
		b, err := r.piece(off+int64(n), len(p)-n)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// piece returns what there is from off on, at least a byte.
func (r *remote) piece(off int64, want int) ([]byte, error) {
	for first, b := range r.pieces {
		if first <= off && off < first+int64(len(b)) {
			return b[off-first:], nil
		}
	}
	if r.err == nil && len(r.pieces) >= maxPieces {
		r.err = broken(r.at, fmt.Sprintf("its metadata is in more than %d pieces", maxPieces))
	}
	if r.err != nil {
		return nil, r.err
	}
	last := min(off+int64(max(want, piece)), r.total) - 1
	a, err := r.c.get(r.ctx, request{at: r.at, accept: "*/*", ranges: fmt.Sprintf("bytes=%d-%d", off, last), limit: last - off + 1})
	if err == nil && (a.whole || a.first != off || a.total != r.total || len(a.body) == 0) {
		err = &Error{URL: redacted(r.at), Reason: "the server answers another range than was asked for", Fix: tryLater}
	}
	if err != nil {
		r.err = err
		return nil, err
	}
	r.pieces[off] = a.body
	return a.body, nil
}

// metadataOf reads METADATA out of a wheel, which has one folder for it.
func metadataOf(f File, r io.ReaderAt, size int64) ([]byte, error) {
	fail := func(reason string) error {
		return broken(f.URL, "the wheel can't be read: "+reason)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fail(err.Error())
	}
	var found *zip.File
	for _, m := range z.File {
		dir, name, ok := strings.Cut(m.Name, "/")
		if !ok || name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		if found != nil {
			return nil, fail("it has more than one METADATA")
		}
		found = m
	}
	if found == nil {
		return nil, fail("it has no METADATA")
	}
	if found.UncompressedSize64 > maxMetadata || int64(found.CompressedSize64) > maxMetadata {
		return nil, fail("its METADATA is too large")
	}
	m, err := found.Open()
	if err != nil {
		return nil, fail(err.Error())
	}
	defer func() { _ = m.Close() }()
	b, err := io.ReadAll(io.LimitReader(m, maxMetadata+1))
	if err == nil && len(b) > maxMetadata {
		return nil, fail("its METADATA is too large")
	}
	if err != nil {
		return nil, fail(err.Error())
	}
	return b, nil
}
