//go:build linux

package track

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/hostinfo/task"
)

// A place is where a process is.
type place int

const (
	inside  place = iota // in the sandbox
	outside              // on the host, or in another sandbox
	gone                 // it had ended before it could be looked at
)

// people are the processes that use files. Which of them are the sandbox's their pid
// namespace says.
type people struct {
	namespace string // as its link reads; see pid_namespaces(7)
	known     map[int]person
}

// A person is a process, as it was when it was looked at.
type person struct {
	access.Process
	place  place
	looked time.Time // zero: it has executed a program since
	seen   time.Time
}

// Bounds of what is remembered. A number is another process's after as many forks as
// kernel.pid_max at the least.
const (
	maxPeople  = 8192
	freshFor   = 300 * time.Millisecond // looked at again after that
	departedIn = time.Minute            // one that is gone is known for so long
)

// peopleOf are those of the sandbox whose init this is.
func peopleOf(init int) (*people, error) {
	f, err := task.Open(init)
	if err != nil {
		return nil, fmt.Errorf("find pid namespace: %w", err)
	}
	defer f.Close()
	ns, err := f.Namespace("pid")
	if err != nil {
		return nil, fmt.Errorf("find pid namespace: %w", err)
	}
	return &people{ns, map[int]person{}}, nil
}

// ask says where a process is, and of one of the sandbox what it is.
func (p *people) ask(pid int) (task.Process, place) {
	f, err := task.Open(pid)
	if err != nil {
		return task.Process{}, gone
	}
	defer f.Close()
	switch ns, err := f.Namespace("pid"); {
	case err != nil:
		return task.Process{}, gone
	case ns != p.namespace:
		return task.Process{}, outside
	}
	if t, ok := f.Process(); ok {
		return t, inside
	}
	return task.Process{}, gone
}

// look says who a process is. One that is gone is inside if it was seen there before.
func (p *people) look(pid int, now time.Time) (access.Process, place) {
	was, ok := p.known[pid]
	if ok && now.Sub(was.looked) < freshFor {
		return was.Process, was.place
	}
	t, where := p.ask(pid)
	if where == gone {
		if ok && was.place == inside && now.Sub(was.seen) < departedIn {
			return was.Process, inside
		}
		return access.Process{HostPID: pid, Unknown: access.Gone}, gone
	}
	is := person{Process: access.Process{HostPID: pid}, place: where, looked: now, seen: now}
	if where == inside {
		is.Process = access.Process{PID: t.PID, HostPID: pid, UID: t.UID, Command: t.Command, Script: t.Script}
	}
	p.remember(pid, is)
	return is.Process, is.place
}

// lookBy is look for an event with a pidfd, which is negative if the process had ended.
// Then its number may be another's: what isn't known to be the sandbox's is nobody's.
func (p *people) lookBy(pid, pidfd int, now time.Time) (access.Process, place) {
	who, where := p.look(pid, now)
	if where == outside && over(pidfd) {
		delete(p.known, pid)
		return access.Process{HostPID: pid, Unknown: access.Gone}, gone
	}
	return who, where
}

// over reports whether the process of a pidfd has ended, and somebody has waited for it.
func over(pidfd int) bool {
	return pidfd < 0 || errors.Is(unix.PidfdSendSignal(pidfd, 0, nil, 0), unix.ESRCH)
}

// executes notes that a process of the sandbox executes a program. It comes before all
// that the program does, so that it is known however soon it ends.
func (p *people) executes(pid int, program string, now time.Time) {
	name := path.Base(program)
	if strings.HasPrefix(name, "ld-") || strings.HasPrefix(name, "ld.") { // what loads it: ld.so(8)
		return
	}
	is := access.Process{HostPID: pid, Command: name[:min(len(name), maxComm)]}
	switch t, where := p.ask(pid); where {
	case inside: // its name may still be that of who started it
		is.PID, is.UID = t.PID, t.UID
	case outside: // it came from there
		return
	case gone:
	}
	p.remember(pid, person{Process: is, place: inside, seen: now})
}

// maxComm is TASK_COMM_LEN of linux/sched.h without the NUL.
const maxComm = 15

func (p *people) remember(pid int, is person) {
	if len(p.known) >= maxPeople {
		maps.DeleteFunc(p.known, func(_ int, o person) bool { return is.seen.Sub(o.seen) >= departedIn })
		if len(p.known) >= maxPeople {
			clear(p.known)
		}
	}
	p.known[pid] = is
}
