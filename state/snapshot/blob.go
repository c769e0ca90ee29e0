package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const blobsDir = v1.ImageBlobsDir + "/sha256"

func blobPath(d digest.Digest) string { return path.Join(blobsDir, d.Encoded()) }

// A DamagedError is a blob that is not what its name says.
type DamagedError struct {
	Blob digest.Digest
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("blob %s is damaged: %v; remove the snapshots that have it, and save or load them again", e.Blob, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Record reads what a snapshot says.
func (s *Store) Record(of Snapshot) (Record, error) {
	b, err := s.blob(of.Record, maxRecord)
	if err != nil {
		return Record{}, fmt.Errorf("snapshot %s: %w", of.Name, err)
	}
	r, err := parseRecord(b)
	if err != nil {
		return r, fmt.Errorf("snapshot %s: %w", of.Name, err)
	}
	return r, nil
}

// Open opens a blob. Only when it was read to its end without an error is it what
// its name says.
func (s *Store) Open(d digest.Digest) (io.ReadCloser, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	f, size, err := s.openFile(blobPath(d))
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return &verified{f: f, want: d, left: size, sum: sha256.New()}, nil
}

// blob reads a small one whole.
func (s *Store) blob(d v1.Descriptor, most int64) ([]byte, error) {
	if err := checkDescriptor(d, most); err != nil {
		return nil, err
	}
	b, err := s.file(blobPath(d.Digest), most)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	if int64(len(b)) != d.Size || digest.FromBytes(b) != d.Digest {
		return nil, &DamagedError{d.Digest, errNotItself}
	}
	return b, nil
}

var errNotItself = errors.New("its content has another digest")

// verified reads a blob, and ends with an error instead of io.EOF if it isn't
// what its name says.
type verified struct {
	f    *os.File
	want digest.Digest
	left int64 // what is written behind its end meanwhile is not read
	sum  hash.Hash
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	if v.left == 0 {
		if digest.NewDigest(digest.SHA256, v.sum) != v.want {
			return 0, &DamagedError{v.want, errNotItself}
		}
		return 0, io.EOF
	}
	n, err := v.f.Read(p[:min(int64(len(p)), v.left)])
	v.sum.Write(p[:n])
	v.left -= int64(n)
	if errors.Is(err, io.EOF) && v.left > 0 {
		err = &DamagedError{v.want, io.ErrUnexpectedEOF}
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Close implements io.Closer.
func (v *verified) Close() error { return v.f.Close() }

func encodeRecord(r Record) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if again, err := parseRecord(bytes.Clone(b)); err != nil || len(again.Objects) != len(r.Objects) {
		return nil, errors.Join(errors.New("encode record: what is written can't be read"), err)
	}
	return b, nil
}
