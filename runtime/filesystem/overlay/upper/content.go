//go:build linux

package upper

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// openFile opens a regular file to read it, and nothing else: opening a FIFO would wait.
func openFile(dir *os.File, name string) (*os.File, *unix.Stat_t, error) {
	f, err := mountns.OpenAt(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, beneath)
	if err != nil {
		return nil, nil, err
	}
	st, err := mountns.Stat(f)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errMoved
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, &st, nil
}

// read is a digest of a file, and its bytes if they are wanted and not many.
func (r *Reading) read(dir *os.File, name string) (digest string, bytes []byte, err error) {
	f, st, err := openFile(dir, name)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = f.Close() }()
	if r.Content && st.Size <= maxShown && r.bytes+int(st.Size) <= maxContent {
		if bytes, err = io.ReadAll(io.LimitReader(f, maxShown)); err != nil {
			return "", nil, err
		}
		r.bytes += len(bytes)
	}
	digest, err = digestOf(r.ctx, f, st.Size)
	return digest, bytes, err
}

// digestOf is a digest of a file's content. Of what is a hole it reads nothing: a file of
// terabytes may be one. A stretch of zeros that is none counts as one.
func digestOf(ctx context.Context, f *os.File, size int64) (string, error) {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, size)
	err := stretches(f, size, func(begin, end int64) error {
		return digestStretch(ctx, h, f, begin, end)
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// chunk is what is read at once, in bytes: blocks of nothing but zeros are left out of
// a digest, wherever the file system has holes.
const chunk = 64 << 10

func digestStretch(ctx context.Context, h hash.Hash, f *os.File, begin, end int64) error {
	buf := make([]byte, chunk)
	for off := begin / chunk * chunk; off < end; off += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if zero(buf[:n]) {
			continue
		}
		_ = binary.Write(h, binary.LittleEndian, off)
		_, _ = h.Write(buf[:n])
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// stretches calls each for every part of a file that is no hole, rounded outwards to
// chunks: none is called for twice.
func stretches(f *os.File, size int64, each func(begin, end int64) error) error {
	for off := int64(0); off < size; {
		begin, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		begin = max(off, begin/chunk*chunk)
		end = min(size, (end+chunk-1)/chunk*chunk)
		if err := each(begin, end); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// OpenFile opens a regular file below a folder to read it.
func OpenFile(dir *os.File, name string) (*os.File, error) {
	f, _, err := openFile(dir, name)
	return f, err
}

// Copy copies a file of a size to an empty one, with its holes.
func Copy(ctx context.Context, from, to *os.File, size int64) error {
	if err := to.Truncate(size); err != nil {
		return err
	}
	buf := make([]byte, copyChunk)
	return stretches(from, size, func(begin, end int64) error {
		for begin < end {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := from.ReadAt(buf[:min(end-begin, copyChunk)], begin)
			if n == 0 {
				return errors.Join(errMoved, err)
			}
			if _, err := to.WriteAt(buf[:n], begin); err != nil {
				return err
			}
			begin += int64(n)
		}
		return nil
	})
}

// copyChunk is how much is copied between two looks at the context, in bytes.
const copyChunk = 1 << 20
