//go:build linux

package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConns bounds the commands that run at once, and with them init's memory.
	maxConns = 1024
	// patience is how long a client may take to say what it wants.
	patience = 10 * time.Second
	// grace is how long a session has between SIGHUP and SIGKILL when its client
	// has gone.
	grace = 2 * time.Second
	// again is when to look once more for what survived a SIGKILL: processes
	// that were being made meanwhile, or that wait for a disk.
	again = 100 * time.Millisecond
)

// A loop is all that init knows. Only one goroutine touches it.
type loop struct {
	id     string
	ep     int
	listen int
	wake   int
	conns  map[int]*conn       // by socket
	byPID  map[int]*conn       // by leader of a running command's session
	dying  map[int]time.Time   // sessions without a client: when to kill what is left
	now    func() time.Time    //
	buf    [64 << 10]byte      // what is read at once
	oob    [256]byte           // control messages: three descriptors take 32 bytes
	events [64]unix.EpollEvent //
}

func newLoop(listen, wake int, id string) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{
		id: id, ep: ep, listen: listen, wake: wake,
		conns: map[int]*conn{}, byPID: map[int]*conn{}, dying: map[int]time.Time{},
		now: time.Now,
	}
	if err := unix.SetNonblock(listen, true); err != nil {
		return nil, err
	}
	for _, fd := range []int{listen, wake} {
		if err := l.watch(fd); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *loop) watch(fd int) error {
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// run serves for ever. Only the death of the sandbox ends it.
func (l *loop) run() {
	for {
		n, err := unix.EpollWait(l.ep, l.events[:], l.timeout())
		if err != nil && err != unix.EINTR {
			os.Exit(1) //nolint:forbidigo // PID 1 without its loop is of no use to anybody: a bug
		}
		for _, ev := range l.events[:max(n, 0)] {
			switch fd := int(ev.Fd); fd {
			case l.listen:
				l.accept()
			case l.wake:
				l.reap()
			default:
				if c := l.conns[fd]; c != nil {
					l.read(c)
				}
			}
		}
		l.expire()
	}
}

// timeout is how long epoll_wait(2) may wait for the next deadline, in
// milliseconds; -1 is for ever, so that an idle sandbox costs nothing.
func (l *loop) timeout() int {
	var next time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, c := range l.conns {
		earlier(c.deadline)
	}
	for _, t := range l.dying {
		earlier(t)
	}
	if next.IsZero() {
		return -1
	}
	return int(max(next.Sub(l.now()), 0)/time.Millisecond) + 1
}

// expire does what is due.
func (l *loop) expire() {
	if len(l.conns) == 0 && len(l.dying) == 0 {
		return
	}
	now := l.now()
	for _, c := range l.conns {
		if !c.deadline.IsZero() && now.After(c.deadline) {
			l.drop(c)
		}
	}
	for sid, t := range l.dying {
		if !now.After(t) {
			continue
		}
		if l.dying[sid] = now.Add(again); killSession(sid, l.byPID[sid] != nil) {
			delete(l.dying, sid)
		}
	}
}

// reap collects every child that has ended: commands, and the orphans that the
// kernel gives to PID 1. All waiting and all signalling is done by this
// goroutine, so a number in byPID always belongs to a process that is there, or
// is a zombie.
func (l *loop) reap() {
	var b [8]byte
	_, _ = unix.Read(l.wake, b[:])
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if c := l.byPID[pid]; c != nil {
			delete(l.byPID, pid)
			c.exited(ws)
			l.drop(c)
		}
	}
}
