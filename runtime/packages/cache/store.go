package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/packages/wheel"
)

// Settings say what entries are for.
type Settings struct {
	Target wheel.Target
	// Python compiles modules ahead of time, in a process without rights (see
	// compile); "" leaves that to each run of the program.
	Python string
	// Login is asked about each download, redirects included; nil logs in nowhere.
	Login func(*http.Request)
	// Progress is told about downloads; nil is nobody. It may be called from
	// several goroutines, but never at the same time.
	Progress func(Progress)
}

// StoreFile returns the entry of a wheel on this machine, which it unpacks if
// it is not there yet.
func (c *Cache) StoreFile(ctx context.Context, path string, s Settings) (Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, fmt.Errorf("store wheel: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return Entry{}, fmt.Errorf("store wheel %s: %w", path, err)
	}
	return c.storeIfMissing(ctx, f, size, filepath.Base(path), hex.EncodeToString(h.Sum(nil)), s)
}

// Store is StoreFile for a wheel that is made on the spot. name is its file name.
func (c *Cache) Store(ctx context.Context, name string, content []byte, s Settings) (Entry, error) {
	sum := sha256.Sum256(content)
	return c.storeIfMissing(ctx, bytes.NewReader(content), int64(len(content)), name, hex.EncodeToString(sum[:]), s)
}

func (c *Cache) storeIfMissing(ctx context.Context, r io.ReaderAt, size int64, file, sum string, s Settings) (Entry, error) {
	if e, ok, err := c.Find(sum, s.Target); ok || err != nil {
		return e, err
	}
	w, err := c.newWorkplace()
	if err != nil {
		return Entry{}, err
	}
	defer w.close()
	return c.store(ctx, w, r, size, file, sum, s)
}

// store unpacks the wheel in r, whose hash is sum, and gives it its place.
func (c *Cache) store(ctx context.Context, w *workplace, r io.ReaderAt, size int64, file, sum string, s Settings) (Entry, error) {
	entry := filepath.Join(w.dir, "entry")
	in, err := unpack(ctx, r, size, file, entry, s)
	if err != nil {
		return Entry{}, err
	}
	b, err := json.Marshal(in)
	if err != nil {
		return Entry{}, fmt.Errorf("store %s: %w", file, err)
	}
	if err := os.WriteFile(filepath.Join(entry, manifestName), b, 0o600); err != nil {
		return Entry{}, fmt.Errorf("store %s: %w", file, err)
	}
	place := c.place(sum, s.Target)
	if err := install(entry, place); err != nil {
		return Entry{}, fmt.Errorf("store %s: %w", file, err)
	}
	return loadEntry(place)
}

func unpack(ctx context.Context, r io.ReaderAt, size int64, file, entry string, s Settings) (wheel.Installed, error) {
	var none wheel.Installed
	tree := filepath.Join(entry, treeDir)
	if err := os.MkdirAll(tree, wheel.FolderMode); err != nil {
		return none, fmt.Errorf("store %s: %w", file, err)
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return none, fmt.Errorf("store %s: %w", file, err)
	}
	defer func() { _ = root.Close() }()
	in, err := wheel.Unpack(untilCanceled{ctx, r}, size, file, root, s.Target)
	if err != nil {
		return none, err
	}
	if s.Python != "" {
		if err := compile(ctx, s.Python, filepath.Dir(filepath.Dir(s.Target.Interpreter)), root, &in); err != nil {
			return none, err
		}
	}
	return in, nil
}

// untilCanceled is a file that can no longer be read once ctx is done.
type untilCanceled struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	r   io.ReaderAt
}

func (u untilCanceled) ReadAt(p []byte, off int64) (int, error) {
	select {
	case <-u.ctx.Done():
		return 0, context.Canceled
	default:
		return u.r.ReadAt(p, off)
	}
}
