package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/meter"
)

// pipe copies both ways until both have ended, and passes on each end. inner is the
// sandbox's side. Without limits the kernel moves the bytes; see splice(2). An error
// is a *meter.LimitError.
func (f *flow) pipe(inner, outer *net.TCPConn) error {
	f.mu.Lock()
	f.piping = true
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	out := make(chan error, 1)
	one := func(dst, src *net.TCPConn, d meter.Direction) error {
		err := f.half(ctx, dst, src, d)
		if err != nil {
			cancel() // the other half may wait for its turn
		}
		return err
	}
	go func() { out <- one(outer, inner, meter.Egress) }()
	err := errors.Join(one(inner, outer, meter.Ingress), <-out)
	_, _ = inner.Close(), outer.Close()
	var why *meter.LimitError
	if errors.As(err, &why) {
		return why
	}
	return nil
}

// half copies one direction.
func (f *flow) half(ctx context.Context, dst, src *net.TCPConn, d meter.Direction) error {
	err := f.carry(ctx, dst, src, d)
	if err == nil {
		_ = dst.CloseWrite()
		return nil
	}
	reset(dst)
	reset(src)
	return err
}

// carry copies until src ends: by the kernel while nothing limits it, else piece by
// piece. A wake ends the wait for src, and nothing else: a deadline for reading
// leaves no byte between the two.
func (f *flow) carry(ctx context.Context, dst, src *net.TCPConn, d meter.Direction) error {
	for {
		// Before it is asked whether there are limits: who changes that wakes later.
		if err := src.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		var err error
		if f.meter.Metered(d) {
			err = f.measure(ctx, dst, src, d)
		} else {
			_, err = io.Copy(dst, src)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// wake ends the wait of a copy for more to read.
func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.piping {
		return // it has not begun, and will ask
	}
	for _, c := range f.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// pieces are buffers for what waits to go on. A connection that is silent has none.
var pieces = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// measure copies piece by piece until src ends, or the limits are gone: that is
// os.ErrDeadlineExceeded.
func (f *flow) measure(ctx context.Context, dst, src *net.TCPConn, d meter.Direction) error {
	raw, err := src.SyscallConn()
	if err != nil {
		return err
	}
	for f.meter.Metered(d) {
		buf, n, err := readPiece(raw, f.meter.Piece(d))
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		err = send(ctx, f.meter, dst, d, buf[:n])
		pieces.Put(buf)
		if err != nil {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// readPiece reads at most so many bytes into a buffer that it takes when there are
// some; at the end 0, and no buffer.
func readPiece(raw syscall.RawConn, most int) (buf *[16 << 10]byte, n int, err error) {
	var got error
	err = raw.Read(func(fd uintptr) bool {
		b, _ := pieces.Get().(*[16 << 10]byte)
		for {
			n, got = unix.Read(int(fd), b[:min(most, len(b))])
			if !errors.Is(got, unix.EINTR) {
				break
			}
		}
		if got == nil && n > 0 {
			buf = b
			return true
		}
		pieces.Put(b)
		return !errors.Is(got, unix.EAGAIN)
	})
	if err == nil {
		err = got
	}
	return buf, max(n, 0), err
}
