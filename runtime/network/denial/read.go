package denial

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxLine bounds one line of the record, in bytes. A longer one is skipped.
const maxLine = 64 << 10

// End is the offset behind what was recorded until now; 0 if nothing was.
func End(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// Read returns what was recorded since offset, and the offset to go on from. A
// file that is not there is an empty one. A record that was cut short since (see
// Log) is read from its beginning. A line that is not a Denial, such as one that
// is being written, is skipped.
func Read(path string, offset int64) ([]Denial, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, offset, fmt.Errorf("read denials: %w", err)
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, offset, fmt.Errorf("read denials: %w", err)
	}
	if offset < 0 || offset > fi.Size() {
		offset = 0
	}
	ds, n, err := scan(io.NewSectionReader(f, offset, fi.Size()-offset))
	if err != nil {
		return nil, offset, fmt.Errorf("read denials: %w", err)
	}
	return ds, offset + n, nil
}

// scan decodes whole lines and returns how many bytes they take.
func scan(r io.Reader) (ds []Denial, n int64, err error) {
	br := bufio.NewReaderSize(r, maxLine)
	for skip := false; ; {
		line, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			n += int64(len(line))
			skip = true
			continue
		case errors.Is(err, io.EOF):
			return ds, n, nil // a half line is read when it is whole
		case err != nil:
			return ds, n, err
		}
		n += int64(len(line))
		var d Denial
		if !skip && json.Unmarshal(line, &d) == nil {
			ds = append(ds, d)
		}
		skip = false
	}
}
