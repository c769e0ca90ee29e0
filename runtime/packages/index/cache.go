package index

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A Cache keeps answers by URL, to be asked for with their ETag. It is no more
// than that: what is in it is never used without asking.
type Cache struct{ Dir string }

type entry struct {
	ETag, Kind, Final string
	Body              []byte
}

// maxCached keeps whole wheels out.
const maxCached = 16 << 20

func (c *Cache) path(at string) string {
	s := sha256.Sum256([]byte(at))
	return filepath.Join(c.Dir, hex.EncodeToString(s[:16])+".json")
}

func (c *Cache) load(at string) *entry {
	if c == nil {
		return nil
	}
	b, err := os.ReadFile(c.path(at))
	var e entry
	if err != nil || json.Unmarshal(b, &e) != nil {
		return nil
	}
	return &e
}

// store is best effort: without a cache everything is only slower.
func (c *Cache) store(at string, e entry) {
	if c == nil || e.ETag == "" || len(e.Body) > maxCached {
		return
	}
	b, err := json.Marshal(e)
	if err != nil || os.MkdirAll(c.Dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(c.Dir, ".*.tmp")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path(at))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

// metadataOf reads METADATA out of a wheel.
func metadataOf(b []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("wheel: %w", err)
	}
	for _, f := range z.File {
		dir, name, ok := strings.Cut(f.Name, "/")
		if !ok || name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("wheel: %w", err)
		}
		defer func() { _ = r.Close() }()
		return io.ReadAll(io.LimitReader(r, maxMetadata))
	}
	return nil, fmt.Errorf("wheel has no METADATA")
}
