//go:build linux

package main

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// deliver passes a client's signal on, and reports whether it was one that a
// client may send. pid leads a session and a process group of its own.
func deliver(pid int, sig unix.Signal) bool {
	group, ok := wire.Forwarded[sig]
	if !ok {
		return false
	}
	if sig == unix.SIGTSTP {
		// The group is an orphaned one, as its parent is in another session: the
		// kernel drops SIGTSTP there (POSIX, "orphaned process group").
		sig = unix.SIGSTOP
	}
	if group {
		pid = -pid
	}
	_ = unix.Kill(pid, sig)
	return true
}

// hangUp asks a session to end. A stopped process hears it only when it goes on.
func hangUp(sid int) {
	for _, p := range members(sid) {
		p.signal(unix.SIGHUP)
		p.signal(unix.SIGCONT)
	}
}

// killSession kills what is left of a session and reports whether nothing is.
// The leader's number stays taken while the session has a member; leads says
// that the leader itself is there, so that the session is the one that was meant.
func killSession(sid int, leads bool) bool {
	left := members(sid)
	for _, p := range left {
		p.signal(unix.SIGKILL)
	}
	return len(left) == 0 && !leads
}

// A member is a process of a session, or a descendant of one that made a session
// of its own.
type member struct {
	pid   int
	start string // when it started, in clock ticks: tells a reused number
}

// members lists the processes of a session and their descendants.
func members(sid int) []member {
	stats := processes()
	in := map[int]bool{}
	for again := true; again; { // until no child of a member is left out
		again = false
		for pid, s := range stats {
			if !in[pid] && pid != 1 && (s.session == sid || in[s.parent]) {
				in[pid], again = true, true
			}
		}
	}
	var ms []member
	for pid := range in {
		ms = append(ms, member{pid, stats[pid].start})
	}
	return ms
}

// signal reaches the very process that was listed, or none.
func (m member) signal(sig unix.Signal) {
	fd, err := unix.PidfdOpen(m.pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if s, ok := stat(m.pid); ok && s.start == m.start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// procStat is what init needs of proc_pid_stat(5).
type procStat struct {
	parent, session int
	start           string
}

func processes() map[int]procStat {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(-1)
	all := make(map[int]procStat, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if s, ok := stat(pid); ok {
				all[pid] = s
			}
		}
	}
	return all
}

func stat(pid int) (procStat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	// The name is in parentheses and may hold anything, parentheses too.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return procStat{}, false
	}
	parent, _ := strconv.Atoi(string(f[1]))
	session, _ := strconv.Atoi(string(f[3]))
	return procStat{parent: parent, session: session, start: string(f[19])}, true
}
