// Package where hears from programs of a sandbox at which line they are about to look up
// a name or to connect, so that a refusal can say it. Blast's hook in Python tells (package
// runtime/process/sitehook); any process may, and may lie: what it says is a claim about
// itself and nothing depends on it but a message. Whose claim it is the kernel says.
//
//	process ── one datagram: "1" NUL host or address NUL port NUL file:line ──▶ socket
//
// The socket lies in a folder that the sandbox can't write (package inside), so that no
// process can take its place. Nothing is answered, and a sender that doesn't wait never
// does: what comes too fast is dropped by the kernel.
package where

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// File is the name of the socket in the folder that a sandbox sees.
const File = "where"

// Bounds: the sandbox decides what is said, and how often.
const (
	maxMessage = 1 << 10 // bytes; a longer one is dropped
	maxPlace   = 256     // bytes of file:line
	perSecond  = 500     // messages, in the long run; the others wait, and their senders don't
	burst      = 1000    // messages, at once
	atOnce     = 32      // messages that are read before somebody else's turn
)

// A Book holds what was said last. It may be used by several goroutines.
type Book struct {
	path string
	conn *net.UnixConn
	raw  syscall.RawConn
	stop context.CancelFunc

	reading chan struct{} // has room for who reads messages, which may take long: see hear

	mu     sync.Mutex
	claims claims
}

// Listen makes the socket at path, in the place of what is there. Everybody may send.
func Listen(path string) (*Book, error) {
	conn, err := socket(path)
	if err != nil {
		return nil, fmt.Errorf("listen to where programs connect: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Book{path: path, conn: conn, stop: stop, claims: claims{}, reading: make(chan struct{}, 1)}
	if b.raw, err = conn.SyscallConn(); err != nil {
		b.Close()
		return nil, fmt.Errorf("listen to where programs connect: %w", err)
	}
	go b.serve(ctx)
	return b, nil
}

// socket binds by way of the folder's descriptor: a path may be longer than an address.
func socket(path string) (*net.UnixConn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		return nil, err
	}
	if err = prepare(conn); err == nil {
		err = os.Chmod(path, 0o666) //nolint:gosec // the folder says who gets here
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func prepare(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		// Descriptors are unwelcome; before Linux 6.16 hear drops them.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	})
	if err == nil {
		err = set
	}
	return err
}

// Close ends it. It waits for nobody: see hear.
func (b *Book) Close() {
	b.stop()
	_ = os.Remove(b.path)
	go func() { _ = b.conn.Close() }()
}

// serve reads what comes, as fast as it is bound to.
func (b *Book) serve(ctx context.Context) {
	pace := rate.NewLimiter(perSecond, burst)
	for {
		heard := 0
		err := b.raw.Read(func(fd uintptr) bool {
			b.reading <- struct{}{}
			defer func() { <-b.reading }()
			heard = b.hear(int(fd))
			return heard > 0
		})
		if err != nil || pace.WaitN(ctx, heard) != nil {
			return
		}
	}
}

// Where is the place in its program, file:line, from which a process said that it would
// look up or connect to this, lately. pid is as this process counts. A process chose the
// text, of which only printable characters are left.
func (b *Book) Where(pid int, host string, addr netip.AddrPort) (string, bool) {
	c, ok := b.find(pid, host, addr)
	return c.place, ok
}

// Port is the port that a process said it looks up a name for; 0 if it said none.
func (b *Book) Port(pid int, host string) uint16 {
	c, _ := b.find(pid, host, netip.AddrPort{})
	return c.port
}

// Claimant is the one process that said a moment ago that it would connect to an address;
// 0 if none did, or several.
func (b *Book) Claimant(addr netip.AddrPort) int {
	b.catch()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.claims.only(keyOfAddr(addr.Addr()), addr.Port(), time.Now())
}

// find looks for the address first: the same name may be looked up elsewhere.
func (b *Book) find(pid int, host string, addr netip.AddrPort) (claim, bool) {
	b.catch()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range []string{keyOfAddr(addr.Addr()), host} {
		if c, ok := b.claims.find(pid, key, time.Now()); ok {
			return c, true
		}
	}
	return claim{}, false
}

// catchWithin bounds how long who asks waits for what was said before.
const catchWithin = 20 * time.Millisecond

// catch hears what was said before the call: who is refused has just said it. It waits
// for no longer than catchWithin, whatever hear is stuck in.
func (b *Book) catch() {
	late := time.NewTimer(catchWithin)
	defer late.Stop()
	select {
	case b.reading <- struct{}{}:
	case <-late.C:
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-b.reading }()
		_ = b.raw.Control(func(fd uintptr) { b.hear(int(fd)) })
	}()
	select {
	case <-done:
	case <-late.C:
	}
}

// hear takes some messages, and returns how many. b.reading is taken, and nothing else: a
// message may carry descriptors, which the kernel closes here as nobody takes them, and to
// close some can take as long as a process likes (SO_LINGER).
func (b *Book) hear(fd int) int {
	buf := make([]byte, maxMessage+1)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for n := range atOnce {
		size, used, flags, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return n
		}
		if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			continue
		}
		if pid := sender(oob[:used]); pid > 0 {
			b.note(pid, buf[:size])
		}
	}
	return atOnce
}

// sender is the process that the kernel names; 0 if it doesn't.
func sender(oob []byte) int {
	ms, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(ms) != 1 {
		return 0
	}
	cred, err := unix.ParseUnixCredentials(&ms[0])
	if err != nil {
		return 0
	}
	return int(cred.Pid)
}

func (b *Book) note(pid int, message []byte) {
	key, c, ok := read(message)
	if !ok {
		return
	}
	c.at = time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims.add(pid, key, c)
}
