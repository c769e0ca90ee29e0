package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"blast.example/blast/state/snapshot/layer"
)

// maxWindow bounds what a stranger's layer makes its reader keep, in bytes. An
// encoder of the default level uses 8 MiB.
const maxWindow = 32 << 20

// Bounds of a layer. No honest archive of a GiB shrinks to a thousandth: what does
// would only fill a disk.
const (
	maxLayer  = 256 << 30 // bytes, compressed
	maxRatio  = 1000
	freeRatio = 1 << 30 // bytes of an archive up to which the ratio doesn't count
)

// Pack compresses what pack writes into the draft, and says what it is.
func (d *Draft) Pack(pack func(w io.Writer) (layer.Stats, error)) (Layer, layer.Stats, error) {
	// One goroutine beside this one: a sandbox works meanwhile.
	enc, err := zstd.NewWriter(d, zstd.WithEncoderConcurrency(2))
	if err != nil {
		return Layer{}, layer.Stats{}, fmt.Errorf("compress layer: %w", err)
	}
	out := &summed{w: enc, sum: sha256.New()}
	st, err := pack(out)
	if cerr := enc.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("compress layer: %w", cerr)
	}
	return Layer{Content: digest.NewDigest(digest.SHA256, out.sum), Bytes: out.n, Entries: st.Entries}, st, err
}

// summed writes to w, and keeps the digest of what was written.
type summed struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// Layer finds the layer whose blob has a digest. Without one the error is ErrNone.
func (s *Store) Layer(blob digest.Digest) (Layer, error) {
	all, err := s.List()
	for _, one := range all {
		if one.Layer.Blob == blob {
			return one.Layer, nil
		}
	}
	return Layer{}, errors.Join(fmt.Errorf("%w: none has the layer %s any more", ErrNone, blob), err)
}

// Read hands the archive of a layer to use, such as layer.Unpack or layer.Check.
// Without an error the archive was what the layer says it is, to its end.
func (s *Store) Read(ctx context.Context, l Layer, told func(read int64), use func(context.Context, layer.Source) (layer.Stats, error)) error {
	blob, err := s.Open(l.Blob)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	err = l.read(ctx, blob, told, use)
	if err != nil && ctx.Err() == nil { // what is damaged can look like anything
		var damaged *DamagedError
		if _, derr := io.Copy(io.Discard, blob); errors.As(derr, &damaged) {
			return derr
		}
	}
	return err
}

// read reads a layer from its compressed form.
func (l Layer) read(ctx context.Context, blob io.Reader, told func(int64), use func(context.Context, layer.Source) (layer.Stats, error)) error {
	if l.Bytes > freeRatio && l.Bytes/maxRatio > l.Size {
		return fmt.Errorf("the layer is refused: it has %d bytes and would unpack to %d, which no files do", l.Size, l.Bytes)
	}
	dec, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(2*maxWindow))
	if err != nil {
		return fmt.Errorf("unpack layer: %w", err)
	}
	defer dec.Close()
	sum := sha256.New()
	st, err := use(ctx, layer.Source{R: io.TeeReader(dec, sum), Bytes: l.Bytes, Told: told})
	if err != nil {
		return err
	}
	if digest.NewDigest(digest.SHA256, sum) != l.Content || st.Entries != l.Entries {
		return &DamagedError{l.Blob, errors.New("its archive is not what the manifest says")}
	}
	return nil
}
