package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"blast.example/blast/state/snapshot/layer"
)

// Bounds of an archive of a whole snapshot.
const (
	maxParts = 64   // files and folders; one has 7
	maxBlobs = 16   // one has 3
	maxSmall = 1024 // bytes of oci-layout
)

// Export writes a snapshot as an OCI image layout in a tar archive. The same
// snapshot gives the same bytes.
func (s *Store) Export(ctx context.Context, of Snapshot, w io.Writer) error {
	index, err := json.Marshal(v1.Index{
		Versioned: newIndex().Versioned, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: v1.MediaTypeImageManifest, ArtifactType: ArtifactType, Digest: of.Digest, Size: of.Size - of.Record.Size - of.Layer.Size,
			Annotations: map[string]string{v1.AnnotationRefName: of.Name},
		}},
	})
	if err != nil {
		return fmt.Errorf("export snapshot: %w", err)
	}
	version, err := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err != nil {
		return fmt.Errorf("export snapshot: %w", err)
	}
	out := tar.NewWriter(w)
	err = errors.Join(exportFile(out, v1.ImageLayoutFile, int64(len(version)), bytes.NewReader(version)), exportFile(out, v1.ImageIndexFile, int64(len(index)), bytes.NewReader(index)))
	for _, d := range []digest.Digest{of.Digest, of.Record.Digest, of.Layer.Blob} {
		if err == nil {
			err = s.exportBlob(ctx, out, d)
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("export snapshot %s: %w", of.Name, err)
	}
	return nil
}

func (s *Store) exportBlob(ctx context.Context, out *tar.Writer, d digest.Digest) error {
	f, size, err := s.openFile(blobPath(d))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return exportFile(out, blobPath(d), size, cancelled{ctx, &verified{f: f, want: d, left: size, sum: sha256.New()}})
}

func exportFile(out *tar.Writer, name string, size int64, r io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(out, r)
	return err
}

// cancelled ends reading with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// An ArchiveError is an archive that is none of a snapshot, or could do harm.
type ArchiveError struct{ Err error }

func (e *ArchiveError) Error() string { return "the archive is refused: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ArchiveError) Unwrap() error { return e.Err }

func refused(format string, args ...any) error { return &ArchiveError{fmt.Errorf(format, args...)} }

// An Incoming is a snapshot of an archive that was read and checked, and is in no
// store yet. Close it.
type Incoming struct {
	Name   string // in the archive
	Digest digest.Digest
	Record Record
	Layer  Layer

	manifest, record []byte
	layer            *Draft
}

// Close drops it, unless it was put into the store.
func (in *Incoming) Close() error { return in.layer.Close() }

// Keep puts it into the store under a name. If that is taken by another snapshot the error
// is ErrThere.
func (w *Writer) Keep(name string, in *Incoming) (Snapshot, error) {
	return w.put(name, in.manifest, in.record, in.layer, false)
}

// Read takes in an archive that Export has written, here or elsewhere: a stranger may
// have made it. Nothing of it gets a name, and nothing that is in its layer is
// written: all that is checked first, to its end. With a name it is that snapshot of
// several; told is called now and then with the bytes of the layer that were checked.
func (w *Writer) Read(ctx context.Context, r io.Reader, name string, told func(checked int64)) (*Incoming, error) {
	parts := &parts{w: w, blobs: map[digest.Digest]*Draft{}}
	defer parts.close()
	if err := parts.read(cancelled{ctx, r}); err != nil {
		return nil, err
	}
	in, err := parts.choose(name)
	if err != nil {
		return nil, err
	}
	err = in.Layer.read(ctx, in.layer.Reader(), told, func(ctx context.Context, s layer.Source) (layer.Stats, error) { return layer.Check(ctx, s, nil) })
	if err != nil {
		_ = in.Close()
		return nil, asRefused(ctx, err)
	}
	return in, nil
}

// asRefused tells a bad archive from a read that failed or was stopped.
func asRefused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &ArchiveError{err}
}

// parts are what is in an archive.
type parts struct {
	w      *Writer
	layout []byte
	index  []byte
	blobs  map[digest.Digest]*Draft
	n      int
}

func (p *parts) close() {
	for _, d := range p.blobs {
		_ = d.Close()
	}
}

func (p *parts) read(r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return refused("it is no tar archive that can be read: %w", err)
		}
		if p.n++; p.n > maxParts {
			return refused("it has more than %d files", maxParts)
		}
		if err := p.part(h, tr); err != nil {
			return err
		}
	}
}

// part takes in one file. Its name decides only which of the known ones it is.
func (p *parts) part(h *tar.Header, r io.Reader) error {
	name := strings.TrimPrefix(h.Name, "./")
	if h.Typeflag == tar.TypeDir && slices.Contains([]string{"", v1.ImageBlobsDir, blobsDir}, strings.TrimSuffix(name, "/")) {
		return nil
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return refused("%.100q has holes", name)
		}
	}
	if h.Typeflag != tar.TypeReg {
		return refused("%.100q is no regular file: it is of type %q", name, string(rune(h.Typeflag)))
	}
	switch {
	case name == v1.ImageLayoutFile && p.layout == nil:
		return small(&p.layout, h, r, maxSmall)
	case name == v1.ImageIndexFile && p.index == nil:
		return small(&p.index, h, r, maxIndex)
	case path.Dir(name) == blobsDir:
		return p.blob(digest.NewDigestFromEncoded(digest.SHA256, path.Base(name)), h, r)
	}
	return refused("%.100q is in it, which belongs to no OCI image layout, or comes twice", name)
}

func small(to *[]byte, h *tar.Header, r io.Reader, most int64) error {
	if h.Size > most {
		return refused("%s has %d bytes, and at most %d are read", h.Name, h.Size, most)
	}
	b, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return refused("%s: %w", h.Name, err)
	}
	*to = b
	return nil
}

// blob takes in a file that must be what its name says.
func (p *parts) blob(d digest.Digest, h *tar.Header, r io.Reader) error {
	if err := checkDigest(d); err != nil {
		return refused("%w", err)
	}
	if h.Size > maxLayer || len(p.blobs) == maxBlobs || p.blobs[d] != nil {
		return refused("%.100q is too large, comes twice, or is one of more than %d", h.Name, maxBlobs)
	}
	draft, err := p.w.Draft()
	if err != nil {
		return err
	}
	p.blobs[d] = draft
	out := &failing{w: draft}
	if _, err := io.Copy(out, r); out.err != nil {
		return fmt.Errorf("read archive: %w", out.err)
	} else if err != nil {
		return refused("%.100q: %w", h.Name, err)
	}
	if draft.Digest() != d {
		return refused("%w", &DamagedError{d, errNotItself})
	}
	return nil
}

// failing knows whether it was the writing that failed.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(p []byte) (n int, err error) {
	n, err = f.w.Write(p)
	f.err = err
	return n, err
}

// choose finds the snapshot of that name, or the only one.
func (p *parts) choose(name string) (*Incoming, error) {
	var layout v1.ImageLayout
	if err := json.Unmarshal(p.layout, &layout); p.layout == nil || err != nil || layout.Version != v1.ImageLayoutVersion {
		return nil, refused("it is no OCI image layout of version %s", v1.ImageLayoutVersion)
	}
	all, err := parseIndex(p.index)
	if err != nil {
		return nil, refused("%w", err)
	}
	i := slices.IndexFunc(all.Manifests, named(name))
	if name == "" && len(all.Manifests) == 1 {
		i = 0
	}
	if i < 0 {
		return nil, refused("it has no snapshot %q; %s", name, thereAre(all))
	}
	return p.snapshot(all.Manifests[i])
}

func (p *parts) snapshot(d v1.Descriptor) (*Incoming, error) {
	in := &Incoming{Name: d.Annotations[v1.AnnotationRefName], Digest: d.Digest}
	var err error
	if in.manifest, err = p.whole(d, maxManifest); err != nil {
		return nil, err
	}
	m, err := parseManifest(in.manifest)
	if err != nil {
		return nil, refused("%w", err)
	}
	if in.record, err = p.whole(m.Config, maxRecord); err != nil {
		return nil, err
	}
	if in.Record, err = parseRecord(in.record); err != nil {
		return nil, refused("%w", err)
	}
	if in.Layer, err = layerOf(m.Layers[0]); err != nil {
		return nil, refused("%w", err)
	}
	in.layer = p.blobs[in.Layer.Blob]
	if in.layer == nil || in.layer.Size() != in.Layer.Size {
		return nil, refused("its layer %s is missing, or has another size than its manifest says", in.Layer.Blob)
	}
	delete(p.blobs, in.Layer.Blob) // it is the snapshot's now
	return in, nil
}

// whole reads a small blob of the archive.
func (p *parts) whole(d v1.Descriptor, most int64) ([]byte, error) {
	draft := p.blobs[d.Digest]
	if draft == nil || draft.Size() != d.Size || d.Size > most {
		return nil, refused("its blob %s is missing, or has another size than is said of it", d.Digest)
	}
	b, err := io.ReadAll(draft.Reader())
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return b, nil
}
