package who

import (
	"fmt"
	"os"
	"slices"
)

// A lead is where a socket was found.
type lead struct{ pid, fd int }

// Bounds of looking where sockets were found before.
const (
	maxLeads = 16 // processes
	nearby   = 8  // descriptors above and below the last one of each
)

// again looks where sockets were found before, the last one first: who opened a
// socket opens another one, which gets the next descriptor or one that was closed.
func (f *Finder) again(link string) (pid int, ok bool) {
	for _, l := range f.found {
		if f.near(l, link) {
			return l.pid, true
		}
	}
	return 0, false
}

// near looks at a descriptor of a process and those around it. A number that is
// another process's by now may be asked for: the link is what counts.
func (f *Finder) near(l lead, link string) bool {
	for step := range nearby + 1 {
		for _, fd := range []int{l.fd + step, l.fd - step} {
			if at, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", l.pid, fd)); err == nil && at == link {
				f.remember(lead{l.pid, fd})
				return true
			}
		}
	}
	return false
}

// newest guesses the descriptor that a process opened last: a process that closes
// none has them without a gap. How many it has is the size of the folder, since
// Linux 6.2; proc_pid_fd(5).
func newest(pid int) int {
	fi, err := os.Stat(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return int(fi.Size()) - 1
}

// remember puts a lead first.
func (f *Finder) remember(l lead) {
	f.found = slices.DeleteFunc(f.found, func(o lead) bool { return o.pid == l.pid })
	f.found = slices.Insert(f.found, 0, l)
	f.found = f.found[:min(len(f.found), maxLeads)]
}
