package ndjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Name says where a record is, and how long it may get.
type Name struct {
	Dir     string
	Now     string // the file that is written
	Old     string // what becomes of it when it is full
	MaxSize int64  // bytes of one; there are two at most, but what a new one begins with may make it longer
}

// A File is the one that is written. It is for root only. One goroutine at a time may use
// it.
type File struct {
	Name
	f    *os.File
	size int64
	head int64 // bytes that it began with
}

// Open goes on with the file of a record, or begins it.
func Open(n Name) (*File, error) {
	f, err := os.OpenFile(filepath.Join(n.Dir, n.Now), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open record: %w", err)
	}
	w := &File{Name: n, f: f, size: fi.Size()}
	if last := make([]byte, 1); w.size > 0 {
		if _, err := f.ReadAt(last, w.size-1); err == nil && last[0] != '\n' { // a line that was cut off
			w.Append(nil)
		}
	}
	return w, nil
}

// Append writes a line, whole or not at all, and reports which.
func (w *File) Append(b []byte) bool {
	if w.size > 2*w.limit() { // no other could be begun
		return false
	}
	n, err := w.f.Write(append(b, '\n'))
	if err == nil {
		w.size += int64(n)
		return true
	}
	if n > 0 { // the disk is full
		_ = w.f.Truncate(w.size)
	}
	return false
}

func (w *File) limit() int64 { return max(w.MaxSize, 2*w.head) }

// Full reports whether another file should be begun: see Turn.
func (w *File) Full() bool { return w.size > w.limit() }

// Turn makes the file the old one, and begins another with these lines.
func (w *File) Turn(lines []any) error {
	var head []byte
	for _, v := range lines {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		head = append(append(head, b...), '\n')
	}
	now, next := filepath.Join(w.Dir, w.Now), filepath.Join(w.Dir, w.Now+".new")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a daemon that died just here
		return err
	}
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(head); err == nil {
		err = errors.Join(os.Rename(now, filepath.Join(w.Dir, w.Old)), os.Rename(next, now))
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	_ = w.f.Close()
	w.f, w.size, w.head = f, int64(len(head)), int64(len(head))
	return nil
}

// Close closes the file.
func (w *File) Close() error { return w.f.Close() }
