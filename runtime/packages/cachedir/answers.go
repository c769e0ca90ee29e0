package cachedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files are the plain files directly in the folder for one kind of thing.
type Files struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Count says how many files there are of a kind that were last written before a time;
// the zero time counts all.
func Count(kind string, before time.Time) (Files, error) { return each(kind, before, nil) }

// Drop removes those. Who reads one at the same time has it still, and who looks for
// it later makes it again.
func Drop(kind string, before time.Time) (Files, error) { return each(kind, before, os.Remove) }

func each(kind string, before time.Time, do func(path string) error) (Files, error) {
	var f Files
	dir := Path(kind)
	if dir == "" {
		return f, nil
	}
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	for _, e := range es {
		fi, err := e.Info()
		if err != nil || !fi.Mode().IsRegular() || !before.IsZero() && !fi.ModTime().Before(before) {
			continue // it went, or is no answer
		}
		if do != nil {
			if err := do(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return f, err
			}
		}
		f.Count++
		f.Bytes += fi.Size()
	}
	return f, err
}
