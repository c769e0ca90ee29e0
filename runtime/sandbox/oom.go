//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/state"
)

// An oomLog tells whether the kernel ended a process as the sandbox was out of memory.
// The cgroup counts victims, and only the kernel's log names them.
type oomLog struct {
	kmsg    *os.File // from when the watch began; nil where there is none that helps
	counter string
	before  int
}

func openOOMLog(env state.Env, id string) *oomLog {
	l := &oomLog{}
	if f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil && hostinfo.InitialPIDs() {
		l.kmsg = f
		_, _ = f.Seek(0, io.SeekEnd)
	} else if err == nil {
		_ = f.Close() // it has other numbers
	}
	if folders, err := leafFolders(env, id); err == nil {
		l.counter = filepath.Join(folders["memory"], "memory.oom_control")
		if folders["memory"] == "" || folders["memory"] == folders[""] {
			l.counter = filepath.Join(folders[""], "memory.events")
		}
	}
	l.before = l.victims()
	return l
}

func (l *oomLog) close() {
	if l.kmsg != nil {
		_ = l.kmsg.Close()
	}
}

// victims is how many processes of the sandbox were killed for want of memory: oom_kill
// in memory.events (cgroup v2) or memory.oom_control (v1).
func (l *oomLog) victims() int {
	b, err := os.ReadFile(l.counter)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			count, _ := strconv.Atoi(strings.TrimSpace(n))
			return count
		}
	}
	return 0
}

// patience is how long the log may come after the signal, which is sent first.
const patience = 200 * time.Millisecond

// killed tells how a process came to be killed by SIGKILL.
func (l *oomLog) killed(pid int) string {
	how := killedBy(unix.SIGKILL)
	if l.victims() == l.before {
		return how
	}
	if l.kmsg == nil {
		return how + perhapsMemory
	}
	for end := time.Now().Add(patience); ; l.wait(time.Until(end)) {
		if l.names(pid) {
			return OutOfMemory
		}
		if time.Now().After(end) {
			return how // a command was the victim
		}
	}
}

// wait returns when there is more to read, or at the latest after a time.
func (l *oomLog) wait(most time.Duration) {
	if raw, err := l.kmsg.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(most, 0)/time.Millisecond)+1)
		})
	}
}

// victim is a line that the kernel itself wrote (facility 0, which no process can
// write) in mm/oom_kill.c.
var victim = regexp.MustCompile(`^[0-7],[^;]*;(?:Memory cgroup out of memory|Out of memory): Killed process (\d+) \(`)

// names reads on in the log, and reports whether it names the process as a victim.
func (l *oomLog) names(pid int) bool {
	raw, err := l.kmsg.SyscallConn()
	if err != nil {
		return false
	}
	found := false
	b := make([]byte, 8<<10) // more than a record can have
	_ = raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), b)
			if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR) { // older ones were overwritten
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			if m := victim.FindSubmatch(b[:n]); m != nil && string(m[1]) == fmt.Sprint(pid) {
				found = true
			}
		}
	})
	return found
}
