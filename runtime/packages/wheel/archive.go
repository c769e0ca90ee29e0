package wheel

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
)

// Bounds on what a wheel may unpack to. The largest known wheels hold some
// 4 GiB; ordinary ones shrink to a third, data full of zeros to a hundredth.
const (
	maxEntries  = 200_000
	maxUnpacked = 16 << 30 // bytes
	maxRatio    = 100      // unpacked to packed bytes,
	freeRatio   = 64 << 20 // beyond this many unpacked bytes
	maxText     = 64 << 20 // bytes of RECORD, METADATA, WHEEL and entry_points.txt each
	maxName     = 4096     // bytes of a path (PATH_MAX, limits.h)
	maxPart     = 255      // bytes of a part of it (NAME_MAX)
)

// archive is a zip file all of whose names are known to be harmless.
type archive struct {
	files []*zip.File // regular files, in the order of the archive
	byName
}

type byName map[string]*zip.File

func newArchive(z *zip.Reader, packed int64) (*archive, error) {
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("the archive has %d entries; at most %d are unpacked", len(z.File), maxEntries)
	}
	a := &archive{byName: byName{}}
	names := claims{}
	var total uint64
	for _, f := range z.File {
		if err := checkEntry(f); err != nil {
			return nil, fmt.Errorf("entry %q: %w", clip(f.Name), err)
		}
		if f.Mode().IsDir() {
			continue
		}
		if err := names.claim(f.Name); err != nil {
			return nil, err
		}
		if f.UncompressedSize64 > math.MaxUint64-total {
			return nil, errors.New("the sizes in the archive are not true")
		}
		total += f.UncompressedSize64
		a.files = append(a.files, f)
		a.byName[f.Name] = f
	}
	return a, checkTotal(total, packed)
}

// checkTotal refuses archives that unpack to absurd sizes. The sizes are what
// the archive says; reading one file stops where its own said size ends.
func checkTotal(total uint64, packed int64) error {
	if total > maxUnpacked {
		return fmt.Errorf("it unpacks to %d bytes; at most %d are unpacked", total, int64(maxUnpacked))
	}
	if total > freeRatio && packed >= 0 && total/maxRatio > uint64(packed) {
		return fmt.Errorf("it unpacks from %d bytes to %d: more than %d-fold", packed, total, maxRatio)
	}
	return nil
}

func checkEntry(f *zip.File) error {
	const encrypted = 1 // general purpose bit 0 (APPNOTE 4.4.4)
	name := f.Name
	switch m := f.Mode(); {
	case m.IsDir():
		name = strings.TrimSuffix(name, "/")
	case m&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link")
	case !m.IsRegular():
		return errors.New("it is no regular file")
	case f.Flags&encrypted != 0:
		return errors.New("it is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("it is compressed by method %d; wheels use 0 and 8", f.Method)
	}
	return checkName(name)
}

// text reads a small file of the archive; ok is false if there is none.
func (a *archive) text(name string) (b []byte, ok bool, err error) {
	f := a.byName[name]
	if f == nil {
		return nil, false, nil
	}
	if f.UncompressedSize64 > maxText {
		return nil, false, fmt.Errorf("%s has %d bytes; at most %d are read", name, f.UncompressedSize64, maxText)
	}
	r, err := open(f)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = r.Close() }()
	if b, err = io.ReadAll(r); err != nil {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	return b, true, nil
}

// open opens a file of the archive for reading at most as much as it says to
// have, and one byte more for the reader to notice.
func open(f *zip.File) (io.ReadCloser, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, int64(f.UncompressedSize64)+1), r}, nil //nolint:gosec // checkTotal bounded it
}
