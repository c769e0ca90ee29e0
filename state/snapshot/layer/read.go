package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Source is an archive to be read.
type Source struct {
	R io.Reader
	// Bytes is how long the archive is. One that differs is refused.
	Bytes int64
	// Told is called now and then with the bytes that were read; it may be nil.
	Told func(read int64)
}

// Check reads an archive and writes nothing. It tells each entry to tell, which
// may be nil.
func Check(ctx context.Context, s Source, tell func(Entry) error) (Stats, error) {
	return read(ctx, s, func(e Entry, content *content) error {
		if tell == nil {
			return nil
		}
		return tell(e)
	})
}

// A Summed is an entry with a digest of its content and extended attributes, in the
// place of the attributes: a stranger's archive may have GiB of these.
type Summed struct {
	Entry
	Sum [sha256.Size]byte
}

// Same reports whether two entries are the same but for their time.
func (a Summed) Same(b Summed) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Mode == b.Mode && a.Size == b.Size && a.Link == b.Link && a.Sum == b.Sum
}

// Sum is Check with a digest of each entry.
func Sum(ctx context.Context, s Source, tell func(Summed) error) (Stats, error) {
	buf := make([]byte, 64<<10)
	return read(ctx, s, func(e Entry, c *content) error {
		h := summing{sha256.New()}
		if err := c.writeTo(h, buf); err != nil {
			return err
		}
		attrs := digestOf(e.Attrs)
		_, _ = h.Write(attrs[:])
		out := Summed{Entry: e}
		// archive/tar's names are parts of the whole extended header.
		out.Name, out.Link, out.Attrs = strings.Clone(e.Name), strings.Clone(e.Link), nil
		h.Sum(out.Sum[:0])
		return tell(out)
	})
}

func digestOf(attrs map[string]string) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		_, _ = fmt.Fprintf(h, "%q=%q\n", name, attrs[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// summing is the digest of a file's data, and of where that lies.
type summing struct{ hash.Hash }

// WriteAt implements io.WriterAt.
func (s summing) WriteAt(p []byte, off int64) (int, error) {
	_, _ = s.Write(binary.AppendVarint(nil, off)) // a hash takes every write
	return s.Write(p)
}

// read hands out one entry after the other; what is left of a content is skipped,
// having been checked.
func read(ctx context.Context, s Source, each func(Entry, *content) error) (Stats, error) {
	var st Stats
	in := &counted{ctx: ctx, r: s.R, left: s.Bytes, told: s.Told}
	tr, buf := tar.NewReader(in), bufio.NewReader(nil)
	var o order
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return st, in.end()
		}
		if err != nil {
			return st, in.explain(err)
		}
		e, err := entryOf(h)
		if err == nil {
			err = o.next(e)
		}
		if err != nil {
			return st, err
		}
		buf.Reset(tr)
		c := &content{e: e, in: in, r: buf, left: e.Size}
		if err := c.open(); err != nil {
			return st, err
		}
		if err := each(e, c); err != nil {
			return st, err
		}
		if err := c.drain(); err != nil {
			return st, err
		}
		st.Entries++
		st.Bytes += c.data
	}
}

// counted bounds an archive, and knows when it was torn off.
type counted struct {
	ctx  context.Context
	r    io.Reader
	left int64
	read int64
	told func(int64)
	err  error // why nothing more is read, if it isn't the end
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if c.err == nil {
		c.err = c.ctx.Err()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.told != nil && (c.read+int64(n))>>tellEvery != c.read>>tellEvery {
		c.told(c.read + int64(n))
	}
	c.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	} else if err != nil && c.left > 0 {
		c.err = refuse("", "it ends early")
	}
	if c.err != nil {
		return n, c.err
	}
	return n, nil
}

// tellEvery is a power of two, in bytes.
const tellEvery = 22

// explain says what is behind an error of archive/tar.
func (c *counted) explain(err error) error {
	var no *RefusedError
	switch {
	case c.err != nil:
		return c.err
	case errors.As(err, &no):
		return err
	}
	return refuse("", "it is no archive that can be read: %v", err)
}

// end reads to the end of the archive, and one byte beyond: nothing may follow it.
func (c *counted) end() error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return c.explain(err)
	}
	n, err := io.ReadFull(c.r, make([]byte, 1))
	switch {
	case n > 0:
		return refuse("", "%v", errTooLarge)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// content is what is in a regular file.
type content struct {
	e         Entry
	in        *counted
	r         *bufio.Reader
	stretches []stretch
	left      int64 // of the stretches or, of a file without holes, of the file
	data      int64
}

// A stretch is a part of a file that is no hole.
type stretch struct{ off, n int64 }

// open reads where the data of a file lies.
func (c *content) open() error {
	if !c.e.sparse {
		if c.e.Size > 0 {
			c.stretches = []stretch{{0, c.e.Size}}
		}
		return nil
	}
	head := int64(0)
	count, err := c.number(&head)
	if err != nil {
		return err
	}
	if count > maxStretches {
		return refuse(c.e.Name, "has more than %d stretches", maxStretches)
	}
	c.left = 0
	for end := int64(0); count > 0; count-- {
		s, err := c.stretch(&head, end)
		if err != nil {
			return err
		}
		end = s.off + s.n
		c.left += s.n
		c.stretches = append(c.stretches, s)
	}
	if head+c.left != c.e.stored {
		return refuse(c.e.Name, "has %d bytes, and its stretches say %d", c.e.stored, head+c.left)
	}
	return nil
}

// stretch reads one that begins behind the end of the last.
func (c *content) stretch(head *int64, end int64) (s stretch, err error) {
	if s.off, err = c.number(head); err != nil {
		return s, err
	}
	if s.n, err = c.number(head); err != nil {
		return s, err
	}
	if s.n == 0 || s.off < end || s.n > c.e.Size || s.off > c.e.Size-s.n {
		return s, refuse(c.e.Name, "has stretches that overlap or lie beyond its end")
	}
	return s, nil
}

// number reads a line.
func (c *content) number(head *int64) (int64, error) {
	line, err := c.r.ReadSlice('\n')
	if c.in.err != nil {
		return 0, c.in.err
	}
	if err != nil {
		return 0, refuse(c.e.Name, "has a malformed list of stretches")
	}
	*head += int64(len(line))
	n, err := number(strings.TrimSuffix(string(line), "\n"))
	if err != nil {
		return 0, refuse(c.e.Name, "has a malformed list of stretches: %v", err)
	}
	return n, nil
}

// writeTo writes the data to where it belongs.
func (c *content) writeTo(w io.WriterAt, buf []byte) error {
	for _, s := range c.stretches {
		for off, n := s.off, s.n; n > 0; {
			part := buf[:min(int64(len(buf)), n)]
			if _, err := io.ReadFull(c.r, part); err != nil {
				return c.in.explain(err)
			}
			if _, err := w.WriteAt(part, off); err != nil {
				return err
			}
			off, n = off+int64(len(part)), n-int64(len(part))
			c.left -= int64(len(part))
			c.data += int64(len(part))
		}
	}
	return nil
}

// drain skips what nobody read.
func (c *content) drain() error {
	n, err := io.CopyN(io.Discard, c.r, c.left)
	c.data += n
	if err != nil {
		return c.in.explain(err)
	}
	return nil
}
