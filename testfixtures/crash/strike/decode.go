package strike

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A task is a thread that is stopped at a call.
type task struct {
	pid, tid int
	mem      *os.File
}

// A form says what a system call changes.
type form struct {
	name string
	path func(task, [6]uint64) string
	does func(task, [6]uint64, string) effect // nil: it always lasts
}

// An effect is what a call does to the world.
type effect int

const (
	none     effect = iota // it only reads
	fleeting               // it ends with the process
	lasting
)

// fleets is the effect of calls that change the process alone, or prepare what another
// call puts in place, or make sure of what has been done.
func fleets(task, [6]uint64, string) effect { return fleeting }

// only is a lasting effect on a condition.
func only(ok bool) effect {
	if ok {
		return lasting
	}
	return none
}

func (t task) decode(nr uint64, args [6]uint64) (Call, bool) {
	f, ok := forms[nr]
	if !ok {
		return Call{}, false
	}
	c := Call{Name: f.name}
	if f.path != nil {
		c.Path = f.path(t, args)
	}
	what := lasting
	if f.does != nil {
		what = f.does(t, args, c.Path)
	}
	c.Lasts = what == lasting
	return c, what != none
}

// forms are the calls of both architectures; each adds its own.
var forms = merge(own, map[uint64]form{
	unix.SYS_OPENAT:            {"openat", at(0, 1), opens(2)},
	unix.SYS_OPENAT2:           {"openat2", at(0, 1), opensHow},
	unix.SYS_WRITE:             {"write", fd(0), file},
	unix.SYS_PWRITE64:          {"pwrite64", fd(0), file},
	unix.SYS_WRITEV:            {"writev", fd(0), file},
	unix.SYS_PWRITEV:           {"pwritev", fd(0), file},
	unix.SYS_PWRITEV2:          {"pwritev2", fd(0), file},
	unix.SYS_SENDFILE:          {"sendfile", fd(0), file},
	unix.SYS_SPLICE:            {"splice", fd(2), file},
	unix.SYS_COPY_FILE_RANGE:   {"copy_file_range", fd(2), file},
	unix.SYS_FALLOCATE:         {"fallocate", fd(0), nil},
	unix.SYS_TRUNCATE:          {"truncate", at(cwd, 0), nil},
	unix.SYS_FTRUNCATE:         {"ftruncate", fd(0), nil},
	unix.SYS_FSYNC:             {"fsync", fd(0), fleets},
	unix.SYS_FDATASYNC:         {"fdatasync", fd(0), fleets},
	unix.SYS_SYNCFS:            {"syncfs", fd(0), fleets},
	unix.SYS_SYNC:              {"sync", nil, fleets},
	unix.SYS_RENAMEAT:          {"renameat", both(at(0, 1), at(2, 3)), nil},
	unix.SYS_RENAMEAT2:         {"renameat2", both(at(0, 1), at(2, 3)), nil},
	unix.SYS_LINKAT:            {"linkat", both(at(0, 1), at(2, 3)), nil},
	unix.SYS_SYMLINKAT:         {"symlinkat", both(text(0), at(1, 2)), nil},
	unix.SYS_UNLINKAT:          {"unlinkat", at(0, 1), nil},
	unix.SYS_MKDIRAT:           {"mkdirat", at(0, 1), nil},
	unix.SYS_MKNODAT:           {"mknodat", at(0, 1), nil},
	unix.SYS_FCHMOD:            {"fchmod", fd(0), nil},
	unix.SYS_FCHMODAT:          {"fchmodat", at(0, 1), nil},
	unix.SYS_FCHMODAT2:         {"fchmodat2", at(0, 1), nil},
	unix.SYS_FCHOWN:            {"fchown", fd(0), nil},
	unix.SYS_FCHOWNAT:          {"fchownat", at(0, 1), nil},
	unix.SYS_UTIMENSAT:         {"utimensat", at(0, 1), nil},
	unix.SYS_SETXATTR:          {"setxattr", at(cwd, 0), nil},
	unix.SYS_LSETXATTR:         {"lsetxattr", at(cwd, 0), nil},
	unix.SYS_FSETXATTR:         {"fsetxattr", fd(0), nil},
	unix.SYS_REMOVEXATTR:       {"removexattr", at(cwd, 0), nil},
	unix.SYS_LREMOVEXATTR:      {"lremovexattr", at(cwd, 0), nil},
	unix.SYS_FREMOVEXATTR:      {"fremovexattr", fd(0), nil},
	unix.SYS_IOCTL:             {"ioctl", fd(0), ioctl},
	unix.SYS_MOUNT:             {"mount", at(cwd, 1), nil},
	unix.SYS_UMOUNT2:           {"umount2", at(cwd, 0), nil},
	unix.SYS_PIVOT_ROOT:        {"pivot_root", at(cwd, 0), nil},
	unix.SYS_CHROOT:            {"chroot", at(cwd, 0), fleets},
	unix.SYS_MOVE_MOUNT:        {"move_mount", both(at(0, 1), at(2, 3)), nil},
	unix.SYS_OPEN_TREE:         {"open_tree", at(0, 1), cloned},
	unix.SYS_FSOPEN:            {"fsopen", text(0), fleets},
	unix.SYS_FSCONFIG:          {"fsconfig", text(2), fleets},
	unix.SYS_FSMOUNT:           {"fsmount", nil, fleets},
	unix.SYS_FSPICK:            {"fspick", at(0, 1), fleets},
	unix.SYS_MOUNT_SETATTR:     {"mount_setattr", at(0, 1), nil},
	unix.SYS_SETNS:             {"setns", fd(0), fleets},
	unix.SYS_UNSHARE:           {"unshare", nil, fleets},
	unix.SYS_CLONE:             {"clone", nil, process},
	unix.SYS_CLONE3:            {"clone3", nil, process3},
	unix.SYS_SENDTO:            {"sendto", netlink(4), named},
	unix.SYS_SENDMSG:           {"sendmsg", netlinkMsg, named},
	unix.SYS_BPF:               {"bpf", nil, nil},
	unix.SYS_KILL:              {"kill", nil, others},
	unix.SYS_TGKILL:            {"tgkill", nil, others},
	unix.SYS_PIDFD_SEND_SIGNAL: {"pidfd_send_signal", nil, signal},
	unix.SYS_SETHOSTNAME:       {"sethostname", nil, nil},
})

func merge(a, b map[uint64]form) map[uint64]form {
	for nr, f := range a {
		b[nr] = f
	}
	return b
}

// cwd stands for the argument with the folder's descriptor where a call has none.
const cwd = -1

// at is a path in an argument, relative to the folder in another.
func at(dir, path int) func(task, [6]uint64) string {
	return func(t task, a [6]uint64) string {
		name, base := t.text(a[path]), "cwd"
		if filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
		if dir != cwd && int32(a[dir]) != unix.AT_FDCWD {
			base = fmt.Sprintf("fd/%d", int32(a[dir]))
		}
		return filepath.Join(t.link(base), name)
	}
}

// fd is what a descriptor stands for.
func fd(arg int) func(task, [6]uint64) string {
	return func(t task, a [6]uint64) string { return t.link(fmt.Sprintf("fd/%d", int32(a[arg]))) }
}

func text(arg int) func(task, [6]uint64) string {
	return func(t task, a [6]uint64) string { return t.text(a[arg]) }
}

func both(one, other func(task, [6]uint64) string) func(task, [6]uint64) string {
	return func(t task, a [6]uint64) string { return one(t, a) + " -> " + other(t, a) }
}

// link follows one of the links of proc_pid_fd(5); a thread may have its own folder.
func (t task) link(name string) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/task/%d/%s", t.pid, t.tid, name))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

func opens(arg int) func(task, [6]uint64, string) effect {
	return func(_ task, a [6]uint64, path string) effect { return opening(a[arg], path) }
}

// opensHow looks into struct open_how of openat2(2).
func opensHow(t task, a [6]uint64, path string) effect { return opening(t.word(a[2], 8), path) }

// opening tells opens that change something from those that prepare it.
func opening(flags uint64, path string) effect {
	switch {
	case path == os.DevNull:
		return none
	case flags&(unix.O_CREAT|unix.O_TRUNC) != 0:
		return lasting
	case flags&(unix.O_WRONLY|unix.O_RDWR) != 0:
		return fleeting
	}
	return none
}

// cloned tells a copy of a mount from a descriptor of it.
func cloned(_ task, a [6]uint64, _ string) effect {
	if a[2]&unix.OPEN_TREE_CLONE != 0 {
		return fleeting
	}
	return none
}

// file reports whether a path is one, and not a pipe, a socket or a hole.
func file(_ task, _ [6]uint64, path string) effect {
	return only(filepath.IsAbs(path) && path != os.DevNull && !strings.HasPrefix(path, "/memfd:"))
}

func named(_ task, _ [6]uint64, path string) effect { return only(path != "") }

// signal tells a signal from a question whether a process is there.
func signal(_ task, a [6]uint64, _ string) effect { return only(a[1] != 0) }

// ioctl picks what changes a file's flags or blocks, or a loop device, see ioctl(2).
func ioctl(_ task, a [6]uint64, _ string) effect {
	const reads = 2
	dir, kind := a[1]>>30&3, a[1]>>8&0xff
	switch kind {
	case 'f', 'X', 0x94:
		return only(dir != reads)
	case 'L':
		return only(a[1] != unix.LOOP_GET_STATUS && a[1] != unix.LOOP_GET_STATUS64)
	}
	return none
}

// process reports whether clone(2) makes one, and not a thread.
func process(_ task, a [6]uint64, _ string) effect { return only(a[0]&unix.CLONE_THREAD == 0) }

// process3 looks into struct clone_args of clone3(2).
func process3(t task, a [6]uint64, _ string) effect {
	return only(t.word(a[0], 8)&unix.CLONE_THREAD == 0)
}

// others reports whether a signal goes to another process: Go's runtime sends its own
// threads some all the time.
func others(t task, a [6]uint64, _ string) effect {
	return only(int(int32(a[0])) != t.pid && a[0] != 0)
}

// netlink tells a message to the kernel by the address that it goes to.
func netlink(arg int) func(task, [6]uint64) string {
	return func(t task, a [6]uint64) string { return t.family(a[arg]) }
}

// netlinkMsg is netlink for struct msghdr of sendmsg(2), which begins with the address.
func netlinkMsg(t task, a [6]uint64) string { return t.family(t.word(a[1], 8)) }

func (t task) family(addr uint64) string {
	if addr != 0 && t.word(addr, 2) == unix.AF_NETLINK {
		return "netlink"
	}
	return ""
}
