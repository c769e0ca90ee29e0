package watch

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/state"
)

// victims are the processes of a cgroup that the kernel ended for want of memory. The
// cgroup counts them, and only the kernel's log names them.
type victims struct {
	group string
	kmsg  *os.File // from when the watch began; nil where there is none
	ours  bool     // its numbers of processes are those that this process sees
}

func openVictims(group string) *victims {
	v := &victims{group: group, ours: hostinfo.InitialPIDs()}
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return v
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		_ = f.Close()
		return v
	}
	v.kmsg = f
	return v
}

func (v *victims) close() {
	if v.kmsg != nil {
		_ = v.kmsg.Close()
	}
}

// The log may come a little after the counter.
const (
	patience  = 100 * time.Millisecond
	maxRecord = 8 << 10 // more than a record of the log can have, in bytes
)

// since are those that the log names since the last call, n if all are. Those that a
// daemon died before are not known.
func (v *victims) since(n int) []state.Victim {
	if v.kmsg == nil {
		return nil
	}
	var out []state.Victim
	raw, err := v.kmsg.SyscallConn()
	if err != nil {
		return nil
	}
	b := make([]byte, maxRecord)
	_ = raw.Control(func(fd uintptr) {
		for end := time.Now().Add(patience); ; {
			k, err := unix.Read(int(fd), b)
			switch {
			case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR): // older ones were overwritten
			case err == nil && k > 0:
				if one, ok := victimIn(string(b[:k]), v.group); ok {
					if !v.ours {
						one.HostPID = 0
					}
					out = append(out, one)
				}
			default:
				left := time.Until(end)
				if len(out) >= n || left <= 0 {
					return
				}
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
			}
		}
	})
	return out
}

// ended is a line that the kernel itself wrote (facility 0, which no process can write)
// in mm/oom_kill.c: dump_oom_victim. The name of the process comes last but for numbers.
var ended = regexp.MustCompile(`^[0-7],[^;]*;oom-kill:constraint=[A-Z_]+,nodemask=[^=]*,cpuset=[^=]*,mems_allowed=[^=]*,oom_memcg=([^,]*),task_memcg=([^,]*),task=(.*),pid=(\d+),uid=(\d+)\n`)

// victimIn reads a record of the kernel's log, if it is about a process of a group that
// was out of memory by the limit of that group.
func victimIn(record, group string) (v state.Victim, ok bool) {
	m := ended.FindStringSubmatch(record)
	if m == nil || m[1] != group && !strings.HasPrefix(m[1], group+"/") {
		return v, false
	}
	pid, err := strconv.Atoi(m[4])
	if err != nil {
		return v, false
	}
	uid, err := strconv.ParseUint(m[5], 10, 32)
	return state.Victim{HostPID: pid, UID: uint32(uid), Command: m[3]}, err == nil
}
