package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kept is an entry as it lies in the cache.
type Kept struct {
	Name    string `json:"name"` // "" if the entry can't be read
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the wheel
	Python  string `json:"python"` // what it is unpacked for: "3.11"
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	// Used says that an environment has the same files, as hard links: removing the
	// entry frees nothing then. Where an environment has copies, nobody can tell.
	Used    bool      `json:"used"`
	Made    time.Time `json:"made"`
	Damaged string    `json:"damaged,omitempty"` // how it differs from what was made

	folder string
	entry  Entry
}

// List returns what is in the cache, by name of the folder. Files are not read: see
// Inspect.
func (c *Cache) List() ([]Kept, error) {
	es, err := os.ReadDir(filepath.Join(c.dir, wheelsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list cache: %w", err)
	}
	var out []Kept
	for _, e := range es {
		k, err := keptIn(filepath.Join(c.dir, wheelsDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is gone by now
		}
		if err != nil {
			return nil, fmt.Errorf("list cache: %w", err)
		}
		out = append(out, k)
	}
	return out, nil
}

func keptIn(dir string) (Kept, error) {
	fi, err := os.Lstat(dir)
	if err != nil {
		return Kept{}, err
	}
	sum, target, _ := strings.Cut(filepath.Base(dir), "-")
	python, _, _ := strings.Cut(strings.TrimPrefix(target, "py"), "-")
	k := Kept{SHA256: sum, Python: python, Made: fi.ModTime(), folder: dir}
	if k.entry, err = loadEntry(dir); err != nil {
		k.Damaged = reason(err)
	}
	k.Name, k.Version = k.entry.Name, k.entry.Version
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		k.Files++
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			k.Bytes += st.Blocks * 512 // stat(2)
			k.Used = k.Used || st.Nlink > 1
		}
		return nil
	})
	return k, err
}

// reason is what is wrong with an entry, without where it lies.
func reason(err error) string {
	_, text, found := strings.Cut(err.Error(), ErrDamaged.Error()+": ")
	if !found {
		return err.Error()
	}
	return text
}

// Inspect reads every file of an entry and fills in Damaged.
func (k *Kept) Inspect() {
	if k.Damaged != "" {
		return
	}
	err := k.entry.check()
	if err == nil {
		err = k.entry.verify()
	}
	if err != nil {
		k.Damaged = reason(err)
	}
}

// Remove removes entries, when nobody uses the cache. Each is there whole or not at
// all, and one that a process dies over is swept up by the next that makes one.
func (c *Cache) Remove(ctx context.Context, entries []Kept) error {
	if len(entries) == 0 {
		return nil
	}
	release, err := c.hold(ctx, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer release()
	w, err := c.newWorkplace()
	if err != nil {
		return err
	}
	defer w.close()
	for _, k := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		away := filepath.Join(w.dir, filepath.Base(k.folder))
		if err := os.Rename(k.folder, away); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove from cache: %w", err)
		}
		if err := os.RemoveAll(away); err != nil {
			return fmt.Errorf("remove from cache: %w", err)
		}
	}
	return nil
}
