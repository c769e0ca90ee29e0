package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/ledger"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/traffic"
)

// pipe copies both ways until both have ended, passes on each end, and notes who ended
// first. What the client says goes the way of said; both are left to be closed, as the
// kernel's counts go with that. Without limits the kernel moves the bytes; see
// splice(2). An error is a *meter.LimitError.
func (f *flow) pipe(client, server *net.TCPConn, said meter.Direction) error {
	f.mu.Lock()
	f.piping = true
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	first := make(chan string, 2)
	out := make(chan error, 1)
	go func() {
		err := f.half(ctx, cancel, way{server, client, said, traffic.ByClient}, first)
		if err == nil {
			f.noted().Fin()
		}
		out <- err
	}()
	err := f.half(ctx, cancel, way{client, server, said.Other(), traffic.ByServer}, first)
	err = errors.Join(err, <-out)
	var why *meter.LimitError
	if errors.As(err, &why) {
		f.endedBy(traffic.ByLimit, why.Reason)
		return why
	}
	f.endedBy(<-first, "")
	return nil
}

// A way is one direction of a connection.
type way struct {
	dst, src *net.TCPConn
	d        meter.Direction
	how      string // it ended if src did
}

// half copies one way, and says who ended it. An error ends the other half, too.
func (f *flow) half(ctx context.Context, cancel func(), w way, first chan<- string) error {
	err := f.carry(ctx, w.dst, w.src, w.d)
	if err == nil {
		first <- w.how
		_ = w.dst.CloseWrite()
		return nil
	}
	first <- brokenBy(w)
	cancel() // before the deadlines: then it takes them for its end
	abandon(w.dst)
	abandon(w.src)
	return err
}

// brokenBy tells which of both was reset: reading from src or writing to dst may
// have failed of it.
func brokenBy(w way) string {
	if in, ok := ledger.InfoOf(w.dst); !ok || !in.Dead() {
		return w.how
	}
	if in, ok := ledger.InfoOf(w.src); ok && in.Dead() {
		return w.how
	}
	if w.how == traffic.ByClient {
		return traffic.ByServer
	}
	return traffic.ByClient
}

// abandon ends all waiting for a connection, which is reset when it is closed: not
// yet, as the kernel's counts go with it.
func abandon(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.SetDeadline(time.Unix(1, 0))
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
		if err := ctx.Err(); err != nil { // the other half has ended for good
			return err
		}
		var err error
		if f.meter.Metered(d) {
			err = f.measure(ctx, dst, src, d)
		} else {
			err = f.pipes.move(dst, src)
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
var pieces = sync.Pool{New: func() any { return new(piece) }}

type piece [16 << 10]byte

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
func readPiece(raw syscall.RawConn, most int) (buf *piece, n int, err error) {
	var got error
	err = raw.Read(func(fd uintptr) bool {
		b, _ := pieces.Get().(*piece)
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
