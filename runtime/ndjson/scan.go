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
	"time"
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

// A Past is what there was of a record at one moment.
type Past struct {
	files   []*os.File
	sizes   []int64
	written time.Time
}

// OpenPast opens what there is of a record. Nothing may be there. Who writes it goes on
// meanwhile, and waits only for this. Close it.
func OpenPast(n Name) (*Past, error) {
	p := &Past{}
	for _, name := range []string{n.Old, n.Now} {
		f, err := os.Open(filepath.Join(n.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var fi fs.FileInfo
		if err == nil {
			p.files = append(p.files, f)
			fi, err = f.Stat()
		}
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("read record: %w", err)
		}
		p.sizes, p.written = append(p.sizes, fi.Size()), fi.ModTime()
	}
	return p, nil
}

// Written is when the record was last written to, if there is one.
func (p *Past) Written() (at time.Time, there bool) { return p.written, len(p.files) > 0 }

// Each calls each for the lines, the oldest first, as Scan does, until it returns an error.
func (p *Past) Each(each func(line []byte) error) (err error) {
	for i, f := range p.files {
		serr := Scan(io.NewSectionReader(f, 0, p.sizes[i]), func(line []byte) {
			if err == nil {
				err = each(line)
			}
		})
		if err == nil {
			err = serr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close gives the files back.
func (p *Past) Close() {
	for _, f := range p.files {
		_ = f.Close()
	}
}
