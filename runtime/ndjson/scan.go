// Package ndjson keeps records of one JSON object a line: files of a bounded length that
// outlive who writes them, the latest in two halves of which the older goes first.
package ndjson

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxLine bounds one line of a record, in bytes. A longer one is skipped.
const MaxLine = 16 << 10

// Scan calls each for the lines of a record, in order, without their ends; what it
// is given holds until it returns. A line that is too long, or has no end, is
// passed over.
func Scan(r io.Reader, each func([]byte)) error {
	br := bufio.NewReaderSize(r, MaxLine)
	for skip := false; ; {
		b, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			skip = true
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read record: %w", err)
		}
		if !skip {
			each(b[:len(b)-1])
		}
		skip = false
	}
}

// Past opens what there is of a record, the old file first. Nothing may be there.
func Past(n Name) ([]*os.File, error) {
	var all []*os.File
	for _, name := range []string{n.Old, n.Now} {
		f, err := os.Open(filepath.Join(n.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			CloseAll(all)
			return nil, fmt.Errorf("read record: %w", err)
		}
		all = append(all, f)
	}
	return all, nil
}

// CloseAll closes what Past has opened.
func CloseAll(fs []*os.File) {
	for _, f := range fs {
		_ = f.Close()
	}
}
