package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/network/traffic"
)

// maxSize is how long a file of the record gets, in bytes, before the next is
// begun. There are two at most, but what is open at once may make them longer.
const maxSize = 4 << 20

// A file is the one that is written. It is for root only.
type file struct {
	dir  string
	f    *os.File
	size int64
	head int64 // bytes that it began with
}

func openFile(dir string) (*file, error) {
	f, err := os.OpenFile(filepath.Join(dir, traffic.File), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open record of connections: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open record of connections: %w", err)
	}
	w := &file{dir: dir, f: f, size: fi.Size()}
	if last := make([]byte, 1); w.size > 0 {
		if _, err := f.ReadAt(last, w.size-1); err == nil && last[0] != '\n' { // a line that was cut off
			w.append(nil)
		}
	}
	return w, nil
}

// append writes a line, whole or not at all, and reports which.
func (w *file) append(b []byte) bool {
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

func (w *file) limit() int64 { return max(maxSize, 2*w.head) }

func (w *file) full() bool { return w.size > w.limit() }

// turn makes the file the old one, and begins another with these lines.
func (w *file) turn(lines []any) error {
	var head []byte
	for _, v := range lines {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		head = append(append(head, b...), '\n')
	}
	now, next := filepath.Join(w.dir, traffic.File), filepath.Join(w.dir, traffic.File+".new")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a daemon that died just here
		return err
	}
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(head); err == nil {
		err = errors.Join(os.Rename(now, filepath.Join(w.dir, traffic.OldFile)), os.Rename(next, now))
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	_ = w.f.Close()
	w.f, w.size, w.head = f, int64(len(head)), int64(len(head))
	return nil
}

func (w *file) close() error { return w.f.Close() }
