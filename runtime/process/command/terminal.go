//go:build linux

package command

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is how long after the command's end its last output may take. The
// end of the output comes at once, unless a process that it left behind keeps
// the terminal open.
const drainTime = 200 * time.Millisecond

// endOfFile is what a person types for it on a terminal, see termios(3), VEOF.
const endOfFile = 4

// A terminal stands between the person's terminal and the command's own. The
// two never touch: what the command does to its terminal stays in the sandbox.
type terminal struct {
	io     *stdio
	master *os.File // of the command's terminal; nil if it has none
	out    *os.File // the person's
	wake   [2]int   // pipe: a byte makes the copy of input look around, closing it ends the copy

	copied sync.WaitGroup // output
	read   sync.WaitGroup // input

	mu    sync.Mutex
	saved *unix.Termios // how the person's terminal was before it was made raw
}

func newTerminal(io *stdio, master *os.File) *terminal {
	t := &terminal{io: io, master: master, out: io.output(), wake: [2]int{-1, -1}}
	if master == nil {
		return t
	}
	t.prepare()
	t.resume()
	t.copied.Go(t.copyOut)
	if io.is(0) && unix.Pipe2(t.wake[:], unix.O_CLOEXEC) == nil {
		t.read.Go(t.copyIn)
	}
	return t
}

// raw reports whether every key goes to the command as it is: when a person
// both types and looks. Otherwise the person's terminal goes on editing lines,
// and the keys of signals come as signals.
func (t *terminal) raw() bool { return t.master != nil && t.io.is(0) && t.io.is(1) }

// prepare sets up the command's terminal; through the master, as pty(7) allows.
func (t *terminal) prepare() {
	t.control(func(fd int) {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return
		}
		tio.Iflag |= unix.IUTF8
		if !t.raw() {
			// The person's own terminal does this already.
			tio.Lflag &^= unix.ECHO
			tio.Oflag &^= unix.OPOST
		}
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, tio)
	})
}

// control calls f with the master's descriptor. File.Fd would make it blocking,
// and then no read of it could be ended.
func (t *terminal) control(f func(fd int)) {
	if conn, err := t.master.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// resume makes the person's terminal raw if it is ours to do so.
func (t *terminal) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake[1] >= 0 {
		_, _ = unix.Write(t.wake[1], []byte{0})
	}
	if !t.raw() || t.saved != nil || !t.foreground() {
		return
	}
	fd := int(t.io.files[0].Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETSW, &raw) == nil {
		t.saved = old
	}
}

// suspend gives the person's terminal back as it was.
func (t *terminal) suspend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved == nil {
		return
	}
	_ = unix.IoctlSetTermios(int(t.io.files[0].Fd()), unix.TCSETSW, t.saved)
	t.saved = nil
}

// foreground reports whether the person's terminal listens to us: a background
// job that touches it would be stopped.
func (t *terminal) foreground() bool {
	pgrp, err := unix.IoctlGetInt(int(t.io.files[0].Fd()), unix.TIOCGPGRP)
	return err != nil || pgrp == unix.Getpgrp() // not our controlling terminal: nobody stops us
}

// resize tells the command's terminal how big the person's is.
func (t *terminal) resize() {
	size, err := t.io.size()
	if err != nil || t.master == nil {
		return
	}
	t.control(func(fd int) { _ = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
}

// copyOut shows what the command prints. The end is EIO: no process has the
// terminal open any more.
func (t *terminal) copyOut() {
	_, _ = io.Copy(t.out, t.master)
}

// copyIn types what the person types. It never reads a byte after the command's
// end: that one is for the shell.
func (t *terminal) copyIn() {
	in := int(t.io.files[0].Fd())
	buf := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(t.wake[0]), Events: unix.POLLIN}, {Fd: int32(in), Events: unix.POLLIN}}
		if !t.foreground() {
			fds = fds[:1] // a background job that reads is stopped; resume says when to look again
		}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return
		}
		if fds[0].Revents != 0 {
			if n, err := unix.Read(t.wake[0], buf); err != nil || n == 0 {
				return
			}
			continue
		}
		n, err := unix.Read(in, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return
		}
		if n == 0 {
			buf[0], n = endOfFile, 1 // a cooked terminal turned the key into an end of file
		}
		if _, err := t.master.Write(buf[:n]); err != nil {
			return
		}
	}
}

// drain waits for the rest of the output after the command's end.
func (t *terminal) drain() {
	if t.master == nil {
		return
	}
	_ = t.master.SetReadDeadline(time.Now().Add(drainTime))
	t.copied.Wait()
}

// close restores the person's terminal, always.
func (t *terminal) close() {
	t.suspend()
	if t.master != nil {
		_ = t.master.Close() // ends a write that nobody reads
		t.copied.Wait()
	}
	if t.wake[1] >= 0 {
		_ = unix.Close(t.wake[1])
		t.read.Wait()
		_ = unix.Close(t.wake[0])
	}
}
