//go:build linux

package main

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// A conn is one client: first it says what it wants, then its command runs.
type conn struct {
	fd       int
	in       []byte    // read and not yet understood
	fds      []int     // received and not yet used
	pid      int       // leader of the command's session; 0 before
	deadline time.Time // by when the request must be there
}

// accept takes all connections that wait.
func (l *loop) accept() {
	for {
		fd, _, err := unix.Accept4(l.listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		if len(l.conns) >= maxConns || !fromOutside(fd) || l.watch(fd) != nil {
			_ = unix.Close(fd)
			continue
		}
		l.conns[fd] = &conn{fd: fd, deadline: l.now().Add(patience)}
	}
}

// fromOutside reports whether the peer is no process of this sandbox. The socket
// isn't visible in here; this holds if somebody mounts it by mistake. A process
// of another PID namespace has the number 0 (pid_namespaces(7)).
func fromOutside(fd int) bool {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && cred.Pid == 0
}

// read takes what the client sent, once: epoll tells if there is more.
func (l *loop) read(c *conn) {
	n, oobn, flags, _, err := unix.Recvmsg(c.fd, l.buf[:], l.oob[:], unix.MSG_CMSG_CLOEXEC)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	fds := rights(l.oob[:max(oobn, 0)])
	c.fds = append(c.fds, fds...)
	if err != nil || n == 0 || flags&unix.MSG_CTRUNC != 0 || len(c.fds) > 3 || (c.pid != 0 && len(fds) > 0) {
		l.drop(c)
		return
	}
	c.in = append(c.in, l.buf[:n]...)
	for l.conns[c.fd] == c && l.frame(c) {
	}
}

// frame handles the first frame of c.in if it is complete, and reports whether
// there may be another.
func (l *loop) frame(c *conn) bool {
	if len(c.in) < wire.HeaderSize {
		return false
	}
	limit := wire.MaxRequest
	if c.pid != 0 {
		limit = 1 // only signals may follow
	}
	k, n, err := wire.Header(c.in, limit)
	if err != nil {
		if errors.Is(err, wire.ErrVersion) {
			c.fail(wire.CodeFailed, "this sandbox was started by another version of blast: apply again to renew it")
		}
		l.drop(c)
		return false
	}
	if len(c.in) < wire.HeaderSize+n {
		return false
	}
	payload := c.in[wire.HeaderSize : wire.HeaderSize+n]
	c.in = c.in[wire.HeaderSize+n:]
	if !l.handle(c, k, payload) {
		l.drop(c)
		return false
	}
	return true
}

// handle acts on one frame and reports whether the connection goes on.
func (l *loop) handle(c *conn, k wire.Kind, payload []byte) bool {
	switch {
	case k == wire.Hello && len(payload) == 0 && c.pid == 0:
		return c.send(wire.Ready, []byte(l.id), nil)
	case k == wire.Run && c.pid == 0:
		return l.start(c, payload)
	case k == wire.Signal && len(payload) == 1 && c.pid != 0:
		return deliver(c.pid, unix.Signal(payload[0]))
	}
	return false
}

// start runs the command of a Run frame.
func (l *loop) start(c *conn, payload []byte) bool {
	cmd, err := wire.ParseCommand(payload)
	if err != nil || len(c.fds) != cmd.Fds() {
		return false
	}
	pid, master, failure := spawn(cmd, c.fds)
	c.closeFds()
	if failure != nil {
		c.fail(failure.Code, failure.Message)
		return false
	}
	c.pid, c.deadline, c.in = pid, time.Time{}, bytes.Clone(c.in) // lets go of the request
	l.byPID[pid] = c
	delete(l.dying, pid) // the number is in use again, so that session has ended
	var rights []byte
	if master >= 0 {
		rights = unix.UnixRights(master)
		defer func() { _ = unix.Close(master) }()
	}
	return c.send(wire.Started, nil, rights)
}

// drop ends a connection. If its command still runs, its session is told to go
// and gets some time for that.
func (l *loop) drop(c *conn) {
	if l.conns[c.fd] != c {
		return
	}
	delete(l.conns, c.fd)
	_ = unix.Close(c.fd) // leaves the epoll set by itself
	c.closeFds()
	if c.pid != 0 && l.byPID[c.pid] == c {
		hangUp(c.pid)
		l.dying[c.pid] = l.now().Add(grace)
		c.fd = -1
	}
}

// exited tells the client how its command ended.
func (c *conn) exited(ws unix.WaitStatus) {
	e := wire.Exit{Value: byte(ws.ExitStatus())}
	if ws.Signaled() {
		e = wire.Exit{Signaled: true, Value: byte(ws.Signal())}
	}
	c.send(wire.Exited, e.Append(nil), nil)
}

func (c *conn) fail(code byte, message string) {
	c.send(wire.Failed, wire.Failure{Code: code, Message: message}.Append(nil), nil)
}

// send writes a frame without waiting. Frames are small and few, so a client
// whose socket is full has stopped reading.
func (c *conn) send(k wire.Kind, payload, rights []byte) bool {
	if c.fd < 0 {
		return false
	}
	b := wire.Frame(k, payload)
	n, err := unix.SendmsgN(c.fd, b, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return err == nil && n == len(b)
}

func (c *conn) closeFds() {
	for _, fd := range c.fds {
		_ = unix.Close(fd)
	}
	c.fds = nil
}

// rights returns the descriptors of control messages, all of which are ours to
// close from now on.
func rights(oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var all []int
	for _, m := range msgs {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}
