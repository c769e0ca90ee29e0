package denial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
)

// A record is a bounded file of JSON objects, one a line.
type record struct {
	f   *os.File
	max int64 // bytes
}

func openRecord(path string, mode fs.FileMode, most int64) (*record, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return nil, fmt.Errorf("open record of denials: %w", err)
	}
	if err := f.Chmod(mode); err != nil { // whatever the umask
		_ = f.Close()
		return nil, fmt.Errorf("open record of denials: %w", err)
	}
	return &record{f, most}, nil
}

func (r *record) add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record denial: %w", err)
	}
	if _, err := r.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("record denial: %w", err)
	}
	return r.trim()
}

// trim drops the older half of a record that grew too long. It shortens the
// file in place, as the sandbox may see it through a mount.
func (r *record) trim() error {
	fi, err := r.f.Stat()
	if err != nil || fi.Size() <= r.max {
		return err
	}
	half := make([]byte, r.max/2)
	n, err := r.f.ReadAt(half, fi.Size()-int64(len(half)))
	if err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	half = half[:n]
	half = half[bytes.IndexByte(half, '\n')+1:]
	if err := r.f.Truncate(0); err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	if _, err := r.f.Write(half); err != nil {
		return fmt.Errorf("shorten record of denials: %w", err)
	}
	return nil
}
