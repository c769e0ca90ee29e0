//go:build linux

package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lostFound is a folder of ext4's own.
const lostFound = "lost+found"

// Pack writes the files below root, which nobody may change meanwhile, as an
// archive. told is called now and then with the bytes that were written; it may be nil.
func Pack(ctx context.Context, root *os.File, w io.Writer, told func(written int64)) (Stats, error) {
	out := &written{w: w, told: told}
	p := &packer{ctx: ctx, out: tar.NewWriter(out), links: map[uint64]string{}, buf: make([]byte, bufferSize)}
	if err := p.folder(root, ""); err != nil {
		return p.st, fmt.Errorf("pack layer: %w", err)
	}
	if err := p.out.Close(); err != nil {
		return p.st, fmt.Errorf("pack layer: %w", err)
	}
	return p.st, nil
}

const bufferSize = 256 << 10

// written tells how much was written.
type written struct {
	w    io.Writer
	n    int64
	told func(int64)
}

func (c *written) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.told != nil && (c.n+int64(n))>>tellEvery != c.n>>tellEvery {
		c.told(c.n + int64(n))
	}
	c.n += int64(n)
	return n, err
}

// packer is one run of Pack.
type packer struct {
	ctx   context.Context
	out   *tar.Writer
	links map[uint64]string // first names of inodes that have several
	buf   []byte
	st    Stats
}

// folder packs what is in dir, whose name ends in "/" or is "".
func (p *packer) folder(dir *os.File, prefix string) error {
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if prefix == "" && name == lostFound {
			continue
		}
		if err := p.entry(dir, name, prefix+name); err != nil {
			return err
		}
	}
	return nil
}

// namesIn lists a folder in the order of an archive.
func namesIn(dir *os.File) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // dir may be for its path only
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir.Name(), Err: err}
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entry packs one name of a folder.
func (p *packer) entry(dir *os.File, name, full string) error {
	if err := checkName(full); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: full, Err: err}
	}
	h := &tar.Header{
		Format: tar.FormatPAX, Name: full, ModTime: time.Unix(st.Mtim.Unix()),
		Mode: int64(st.Mode & 0o777),
	}
	typ := st.Mode & unix.S_IFMT
	if first := p.links[st.Ino]; first != "" && typ != unix.S_IFDIR {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return p.header(h)
	}
	if st.Nlink > 1 && typ != unix.S_IFDIR && typ != unix.S_IFSOCK {
		p.links[st.Ino] = full
	}
	switch typ {
	case unix.S_IFREG:
		return p.file(dir, name, h)
	case unix.S_IFDIR:
		return p.subfolder(dir, name, h, st.Mode)
	case unix.S_IFLNK:
		return p.symlink(dir, name, h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.header(h)
	case unix.S_IFSOCK:
		p.st.Sockets++
		return nil
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			h.Typeflag = tar.TypeChar
			return p.header(h)
		}
	}
	return fmt.Errorf("%s is a device: it can't be saved", full)
}

func (p *packer) header(h *tar.Header) error {
	p.st.Entries++
	if p.st.Entries > maxEntries {
		return fmt.Errorf("there are more than %d files: they can't be saved", maxEntries)
	}
	if err := p.out.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

func (p *packer) subfolder(dir *os.File, name string, h *tar.Header, mode uint32) error {
	f, err := openIn(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	full := h.Name
	h.Typeflag, h.Name, h.Mode = tar.TypeDir, full+"/", int64(mode&0o3777)
	if h.PAXRecords, err = attrsOf(f, true); err != nil {
		return fmt.Errorf("%s: %w", full, err)
	}
	if err := p.header(h); err != nil {
		return err
	}
	return p.folder(f, full+"/")
}

func (p *packer) symlink(dir *os.File, name string, h *tar.Header) error {
	n, err := unix.Readlinkat(int(dir.Fd()), name, p.buf[:maxLink+1])
	if err != nil {
		return &os.PathError{Op: "readlink", Path: h.Name, Err: err}
	}
	h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, string(p.buf[:n]), 0o777
	return p.header(h)
}

func (p *packer) file(dir *os.File, name string, h *tar.Header) error {
	f, err := openIn(dir, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h.Typeflag = tar.TypeReg
	if h.PAXRecords, err = attrsOf(f, false); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	size, stretches, err := stretchesOf(f)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	var head []byte
	if h.Size = size; len(stretches) != 1 || stretches[0] != (stretch{0, size}) {
		head, h.Size = headOf(stretches)
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[sparseRecord] = strconv.FormatInt(size, 10)
	}
	if size == 0 {
		head, h.Size = nil, 0
		delete(h.PAXRecords, sparseRecord)
	}
	if err := p.header(h); err != nil {
		return err
	}
	if _, err := p.out.Write(head); err != nil {
		return err
	}
	for _, s := range stretches {
		if err := p.copy(io.NewSectionReader(f, s.off, s.n), s.n); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		p.st.Bytes += s.n
	}
	return nil
}

// copy writes n bytes, and looks at the context in between.
func (p *packer) copy(r io.Reader, n int64) error {
	for n > 0 {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		part := p.buf[:min(int64(len(p.buf)), n)]
		if _, err := io.ReadFull(r, part); err != nil {
			return err
		}
		if _, err := p.out.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// headOf are the lines that say where the data of a file with holes lies, and how
// much is stored of it.
func headOf(stretches []stretch) (head []byte, stored int64) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n", len(stretches))
	for _, s := range stretches {
		fmt.Fprintf(&b, "%d\n%d\n", s.off, s.n)
		stored += s.n
	}
	return b.Bytes(), stored + int64(b.Len())
}

// stretchesOf finds the data of a file, lseek(2).
func stretchesOf(f *os.File) (size int64, all []stretch, err error) {
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, nil, err
	}
	for off := int64(0); off < size; {
		begin, err := f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole
			break
		}
		if err != nil {
			return 0, nil, err
		}
		if off, err = f.Seek(begin, unix.SEEK_HOLE); err != nil {
			return 0, nil, err
		}
		all = append(all, stretch{begin, min(off, size) - begin})
		if len(all) > maxStretches {
			return 0, nil, fmt.Errorf("it has more than %d stretches of data: it can't be saved", maxStretches)
		}
	}
	return size, all, nil
}

// attrsOf are a file's extended attributes, as far as they are kept, xattr(7).
func attrsOf(f *os.File, folder bool) (map[string]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(f.Fd()), list)
	if errors.Is(err, unix.EOPNOTSUPP) || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	records := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, userPrefix) && (name != opaqueAttr || !folder) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			return nil, fmt.Errorf("read extended attribute %s: %w", name, err)
		}
		if name == opaqueAttr && string(value[:n]) != opaqueValue {
			continue
		}
		records[attrPrefix+name] = string(value[:n])
	}
	return records, nil
}

// openIn opens a name of a folder, and no link.
func openIn(dir *os.File, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
