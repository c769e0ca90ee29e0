package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"blast.example/blast/runtime/ndjson"
)

// ErrUnknown is a line of a type that this Blast doesn't know.
var ErrUnknown = errors.New("unknown type of line")

// Decode reads one line: an *Access, *Alert, *Gap, *Path, *Stop, *Totals or *Missed. It
// is safe for any bytes.
func Decode(b []byte) (any, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("read accesses: %w", err)
	}
	var v any
	switch head.Type {
	case TypeAccess:
		v = &Access{}
	case TypeAlert:
		v = &Alert{}
	case TypeGap:
		v = &Gap{}
	case TypePath:
		v = &Path{}
	case TypeStop:
		v = &Stop{}
	case TypeTotals:
		v = &Totals{}
	case TypeMissed:
		v = &Missed{}
	default:
		return nil, ErrUnknown
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("read accesses: %w", err)
	}
	return v, nil
}

// End is the offset behind what is in the file at path now; -1 if there is no
// such file, as nothing is tracked.
func End(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return fi.Size()
}

// Alerts are those that were written to the file at path since offset.
func Alerts(path string, offset int64) ([]Alert, error) { return since[Alert](path, offset) }

// Denials likewise are accesses that were refused.
func Denials(path string, offset int64) ([]Access, error) { return since[Access](path, offset) }

// since reads what was written to a file after an offset. One that is shorter by now was
// begun anew, and is read from its beginning.
func since[T any](path string, offset int64) ([]T, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read accesses: %w", err)
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read accesses: %w", err)
	}
	if offset < 0 || offset > fi.Size() {
		offset = 0
	}
	var all []T
	err = ndjson.Scan(io.NewSectionReader(f, offset, fi.Size()-offset), func(b []byte) {
		if v, err := Decode(b); err == nil {
			if a, ok := v.(*T); ok {
				all = append(all, *a)
			}
		}
	})
	return all, err
}
