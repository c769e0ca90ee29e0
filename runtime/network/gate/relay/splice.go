package relay

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipes is how many pipes a relay has at most, of two descriptors each. A connection
// has one for each direction while bytes are on the way, and none while it is silent:
// io.Copy would keep two for its whole life, four descriptors to the two of its
// sockets. Whoever finds none copies through a buffer of its own, so readers who leave
// their bytes lying make others of the sandbox slower, and nothing else.
const Pipes = 32

// pipeSize is how much one splice(2) moves at most, in bytes; the most that
// /proc/sys/fs/pipe-max-size allows without more rights.
const pipeSize = 1 << 20

// A conduit is a pipe, its two ends.
type conduit struct{ out, in int }

func (c conduit) close() { _, _ = unix.Close(c.out), unix.Close(c.in) }

// pipes lends conduits, which come back empty.
type pipes struct {
	mu     sync.Mutex
	idle   []conduit
	lent   int
	closed bool
}

// take lends a conduit, if one is left.
func (p *pipes) take() (conduit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.lent++
		return c, true
	}
	if p.closed || p.lent >= Pipes {
		return conduit{}, false
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return conduit{}, false // a buffer will do
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize) // a smaller one works, too
	p.lent++
	return conduit{fds[0], fds[1]}, true
}

// put takes a conduit back. One in which bytes are left is of no use to anybody else.
func (p *pipes) put(c conduit, empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	if !empty || p.closed {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

// close closes what is not lent; the rest is closed when it comes back.
func (p *pipes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

// errNoPipe says that bytes have to go through a buffer: there is no pipe left, or the
// kernel can't splice such a socket.
var errNoPipe = errors.New("no pipe")

// move copies without limits until src ends, in the kernel where it can; see splice(2).
func (p *pipes) move(dst, src *net.TCPConn) error {
	from, err := src.SyscallConn()
	if err != nil {
		return err
	}
	to, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	for {
		n, err := p.fill(from, to)
		if errors.Is(err, errNoPipe) {
			n, err = copyPiece(dst, from)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// fill waits for bytes and moves what is there; 0 is the end.
func (p *pipes) fill(from, to syscall.RawConn) (n int, err error) {
	var c conduit
	var got error
	err = from.Read(func(fd uintptr) bool {
		var ok bool
		if c, ok = p.take(); !ok {
			got = errNoPipe
			return true
		}
		if n, got = splice(int(fd), c.in, pipeSize); n > 0 {
			return true
		}
		p.put(c, true)
		return !errors.Is(got, unix.EAGAIN)
	})
	if err == nil {
		err = got
	}
	if errors.Is(err, unix.EINVAL) {
		err = errNoPipe
	}
	if err != nil || n == 0 {
		return 0, err
	}
	err = c.drain(to, n)
	p.put(c, err == nil)
	return n, err
}

// drain sends the n bytes that are in the pipe.
func (c conduit) drain(to syscall.RawConn, n int) error {
	var got error
	err := to.Write(func(fd uintptr) bool {
		for n > 0 {
			var k int
			if k, got = splice(c.out, int(fd), n); got != nil {
				return !errors.Is(got, unix.EAGAIN)
			}
			n -= k
		}
		return true
	})
	if err != nil {
		return err
	}
	return got
}

func splice(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if !errors.Is(err, unix.EINTR) {
			return max(int(n), 0), err
		}
	}
}

// copyPiece is fill through a buffer.
func copyPiece(dst *net.TCPConn, from syscall.RawConn) (int, error) {
	buf, n, err := readPiece(from, len(piece{}))
	if err != nil || n == 0 {
		return 0, err
	}
	defer pieces.Put(buf)
	return dst.Write(buf[:n])
}
