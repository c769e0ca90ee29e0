//go:build linux

package mounts

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot/layer"
)

var _ kinds.Copier = (*Host)(nil)

// Ready implements kinds.Copier: what is in memory alone is written to the image, and what
// files that were removed had there is given back, so that there is less to copy while
// everybody waits.
func (h *Host) Ready(ctx context.Context, env state.Env) error {
	m, err := mountedLayer(env)
	if m == nil || err != nil {
		return err
	}
	return waitFor(ctx, func() error {
		defer func() { _ = m.Close() }()
		if err := unix.Syncfs(int(m.Fd())); err != nil {
			return err
		}
		all := struct{ start, length, least uint64 }{length: math.MaxUint64}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, m.Fd(), fiTrim, uintptr(unsafe.Pointer(&all)))
		if errno == 0 || errno == unix.EOPNOTSUPP { // the file system below can't make holes
			return nil
		}
		return errno
	})
}

// Copy implements kinds.Copier. The image is copied, and read when all runs again:
// that takes as long as compressing it, and a copy much less, or nothing where the
// file system can share blocks.
func (h *Host) Copy(ctx context.Context, env state.Env) (kinds.Copy, error) {
	b, err := backingOf(env)
	if err != nil {
		return nil, err
	}
	return b.copy(ctx)
}

// copy is that of an image: it is read when all runs again.
func (x images) copy(ctx context.Context) (kinds.Copy, error) {
	env := x.env
	image, err := x.open(current)
	if errors.Is(err, os.ErrNotExist) {
		return &imageCopy{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = image.Close() }()
	if err := barrier(ctx, env); err != nil {
		return nil, fmt.Errorf("write out the layer: %w", err)
	}
	fd, err := unix.Open(env.Dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("copy layer: %w", &os.PathError{Op: "open", Path: env.Dir, Err: err})
	}
	c := &imageCopy{f: os.NewFile(uintptr(fd), "layer.copy")}
	if err := c.fill(ctx, image); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("copy layer in %s: %w", env.Dir, err)
	}
	return c, nil
}

// Thaw implements kinds.Thawer, for a process that died in barrier.
func (h *Host) Thaw(_ context.Context, env state.Env) error {
	m, err := mountedLayer(env)
	if m == nil || err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	err = unix.IoctlSetInt(int(m.Fd()), fiThaw, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) { // it was not frozen
		return fmt.Errorf("thaw layer: %w", err)
	}
	return nil
}

// FIFREEZE, FITHAW and FITRIM of linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
	fiTrim   = 0xc0185879
)

// barrier returns when all that was ever written to the layer is in its image. That is
// more than syncfs(2) does: it waits for writes that a process has given to the
// kernel to do by itself, io_submit(2), which go on while the process stands still.
// The file system is frozen for that moment only: what holds it still afterwards is
// that nobody runs.
func barrier(ctx context.Context, env state.Env) error {
	m, err := mountedLayer(env)
	if m == nil || err != nil {
		return err
	}
	return waitFor(ctx, func() error {
		defer func() { _ = m.Close() }()
		if err := unix.IoctlSetInt(int(m.Fd()), fiFreeze, 0); err != nil {
			return err
		}
		return unix.IoctlSetInt(int(m.Fd()), fiThaw, 0)
	})
}

// waitFor waits for a system call that no signal interrupts, for as long as ctx
// lets it.
func waitFor(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mountedLayer opens the root of the layer if a sandbox has it mounted.
func mountedLayer(env state.Env) (*os.File, error) {
	image, err := images{env}.open(current)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = image.Close() }()
	device, used, err := loopOf(image)
	if err != nil || !used {
		return nil, err
	}
	defer func() { _ = device.Close() }()
	m, err := mountImage(image, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }()
	fd, err := unix.Openat(int(m.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // m is for its path only
	if err != nil {
		return nil, fmt.Errorf("open layer: %w", err)
	}
	return os.NewFile(uintptr(fd), "layer"), nil
}

// imageCopy is a copy of the layer's image, in a file without a name.
type imageCopy struct {
	f      *os.File // nil if there is no layer
	shared bool
	copied int64
}

var _ kinds.Copy = (*imageCopy)(nil)

// Close implements kinds.Copy.
func (c *imageCopy) Close() error {
	if c.f == nil {
		return nil
	}
	return c.f.Close()
}

// Shared implements kinds.Copy.
func (c *imageCopy) Shared() (shared bool, copied int64) { return c.shared, c.copied }

// fill shares the blocks of the image, ioctl_ficlone(2), or copies them.
func (c *imageCopy) fill(ctx context.Context, image *os.File) error {
	err := unix.IoctlFileClone(int(c.f.Fd()), int(image.Fd()))
	if err == nil {
		c.shared = true
		return nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.ENOTTY) {
		return err
	}
	size, err := image.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := c.f.Truncate(size); err != nil {
		return err
	}
	for off := int64(0); off < size; {
		begin, err := image.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole
			return nil
		}
		if err != nil {
			return err
		}
		if off, err = image.Seek(begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if err := c.stretch(ctx, image, begin, off); err != nil {
			return err
		}
	}
	return nil
}

// copyChunk is how much is copied between two looks at the context, in bytes.
const copyChunk = 8 << 20

func (c *imageCopy) stretch(ctx context.Context, image *os.File, off, end int64) error {
	for off < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		in, out := off, off
		n, err := unix.CopyFileRange(int(image.Fd()), &in, int(c.f.Fd()), &out, int(min(end-off, copyChunk)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		off += int64(n)
		c.copied += int64(n)
	}
	return nil
}

// Pack implements kinds.Copy. The copy is checked first, as a layer that was not
// unmounted.
func (c *imageCopy) Pack(ctx context.Context, w io.Writer, told func(int64)) (layer.Stats, error) {
	if c.f == nil {
		return layer.Stats{}, tar.NewWriter(w).Close()
	}
	if err := check(ctx, c.f, false); err != nil {
		return layer.Stats{}, err
	}
	m, err := mountImage(c.f, unix.LO_FLAGS_READ_ONLY)
	if err != nil {
		return layer.Stats{}, err
	}
	defer func() { _ = m.Close() }()
	return layer.Pack(ctx, m, w, told)
}
