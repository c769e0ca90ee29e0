package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
)

// A Cache keeps answers by URL, to be asked for with their entity tag. What is
// damaged in it counts as not there. A nil Cache keeps nothing.
type Cache struct{ Dir string }

// entry is one answer: a line of JSON, then the body.
type entry struct {
	URL   string `json:"url"`
	ETag  string `json:"etag"`
	Kind  string `json:"kind"`  // content type
	Final string `json:"final"` // URL after redirects
	Sum   string `json:"sum"`   // SHA-256 of the body

	body []byte
}

const (
	maxCached = maxPage // bytes of a body
	maxHead   = 64 << 10
)

func (c *Cache) path(at string) string {
	s := sha256.Sum256([]byte(at))
	return filepath.Join(c.Dir, hex.EncodeToString(s[:16]))
}

func (c *Cache) load(at string) *entry {
	if c == nil {
		return nil
	}
	f, err := os.Open(c.path(at))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxHead+maxCached+1))
	if err != nil {
		return nil
	}
	head, body, ok := bytes.Cut(b, []byte("\n"))
	var e entry
	if !ok || json.Unmarshal(head, &e) != nil || e.URL != at || e.ETag == "" || e.Sum != sum(body) {
		return nil
	}
	e.body = body
	return &e
}

// store is best effort: without a cache everything is only slower.
func (c *Cache) store(at string, e entry) {
	if c == nil || e.ETag == "" || len(e.body) > maxCached {
		return
	}
	e.URL, e.Sum = at, sum(e.body)
	head, err := json.Marshal(e)
	if err != nil || len(head) > maxHead || os.MkdirAll(c.Dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(c.Dir, ".*.tmp")
	if err != nil {
		return
	}
	_, err = f.Write(append(append(head, '\n'), e.body...))
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
