//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const privilegeCategory = "Privilege"

func privilegeProbes() []Probe { //nolint:gocyclo // a list
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = privilegeCategory, "privilege-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "setuid-program", What: "a setuid program of the host's (su, passwd, mount, …), each of them", Person: true, Try: setuidPrograms})
	add(Probe{Name: "root-reads", What: "root by setresuid, and then a file of root's", Reads: true, Try: func(a *Aim) error {
		_ = syscall.Setresuid(0, 0, 0)
		return a.read(a.Secret)
	}})
	add(Probe{Name: "groups", What: "the host's group of disks by setgroups, and then its disk", Try: func(a *Aim) error {
		_ = syscall.Setgroups([]int{0, 6})
		return node(a, unix.S_IFBLK, a.Disk)
	}})
	add(Probe{Name: "capabilities", What: "capabilities taken back", Try: func(*Aim) error {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		d := [2]unix.CapUserData{}
		d[0].Permitted, d[0].Effective = 1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_SYS_ADMIN
		return unix.Capset(&h, &d[0])
	}})
	add(Probe{Name: "ambient", What: "a capability that outlives an exec", Try: func(*Aim) error {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var d [2]unix.CapUserData
		if err := unix.Capget(&h, &d[0]); err != nil {
			return err
		}
		d[0].Inheritable |= 1 << unix.CAP_SYS_ADMIN
		if err := unix.Capset(&h, &d[0]); err != nil {
			return err
		}
		return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
	}})
	add(Probe{Name: "securebits", What: "rights kept by securebits when root becomes somebody", Try: func(*Aim) error { return unix.Prctl(unix.PR_SET_SECUREBITS, 1<<4, 0, 0, 0) }})
	add(Probe{Name: "new-privileges", What: "no_new_privs, which lets execve give rights again where it is off", Try: func(*Aim) error {
		on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		if err == nil && on == 1 {
			err = errors.New("it is on, and nothing takes it off")
		}
		return err
	}})
	add(Probe{Name: "filters", What: "a process without the seccomp filters", Try: func(*Aim) error {
		mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
		if err == nil && mode != 0 {
			err = fmt.Errorf("mode %d", mode)
		}
		return err
	}})
	add(Probe{Name: "filters-suspended", What: "the filters suspended by a tracer", Try: suspendFilters})
	add(Probe{Name: "after-filters", What: "another system call put in place by a tracer, after the filters have looked", Try: traceAround})
	add(Probe{Name: "id-map", What: "the host's root in an id map of one's own", Try: step(unix.CLONE_NEWUSER, "nothing")})
	add(Probe{Name: "hard-limit", What: "a hard limit raised", Cap: unix.CAP_SYS_RESOURCE, Try: func(*Aim) error {
		var l unix.Rlimit
		for _, which := range []int{unix.RLIMIT_MEMLOCK, unix.RLIMIT_NOFILE, unix.RLIMIT_RTPRIO, unix.RLIMIT_NICE, unix.RLIMIT_MSGQUEUE} {
			if err := unix.Getrlimit(which, &l); err != nil || l.Max > 1<<40 {
				continue
			}
			if err := unix.Setrlimit(which, &unix.Rlimit{Cur: l.Cur, Max: l.Max + 1}); err == nil {
				return nil
			}
		}
		return unix.EPERM
	}})
	add(Probe{Name: "spared", What: "its place in the queue of who is killed when memory is out: the last", Cap: unix.CAP_SYS_RESOURCE, Try: func(*Aim) error {
		return os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0)
	}})
	add(Probe{Name: "real-time", What: "real-time scheduling, before all others", Try: func(a *Aim) error {
		prio := int32(1)
		_, err := call(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&prio)))
		if !a.Inside && errors.Is(err, unix.EPERM) { // a cgroup of v1 without a share of it
			return errAbsent
		}
		return err
	}})
	add(Probe{Name: "deadline", What: "scheduling by deadline", Try: func(a *Aim) error {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: 6, Runtime: 1 << 20, Deadline: 1 << 30, Period: 1 << 30}
		err := unix.SchedSetAttr(0, &attr, 0)
		if !a.Inside && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY)) {
			return errAbsent
		}
		return err
	}})
	add(Probe{Name: "nice", What: "a higher priority", Try: func(*Aim) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) }})
	add(Probe{Name: "disk-real-time", What: "the disk before all others", Try: func(*Aim) error {
		_, err := call(unix.SYS_IOPRIO_SET, 1, 0, 1<<13)
		return err
	}})
	add(Probe{Name: "lock-memory", What: "more memory locked than anybody may", Try: func(*Aim) error {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil || l.Cur > 1<<30 {
			return errors.Join(err, errAbsent)
		}
		m, err := unix.Mmap(-1, 0, int(l.Cur)+1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Munmap(m) }()
		return unix.Mlock(m)
	}})
	add(Probe{Name: "huge-pages", What: "huge pages of the machine's, by System V memory", Try: func(a *Aim) error {
		id, err := call(unix.SYS_SHMGET, 0, 2<<20, unix.IPC_CREAT|0o600|0o4000) // SHM_HUGETLB
		if err != nil {
			return errors.Join(past(err, unix.ENOMEM)) // none are set aside, but one may ask
		}
		_, err = call(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0)
		return err
	}})
	add(Probe{Name: "32-bit", What: "a 32-bit program, whose calls have other numbers", Try: func(*Aim) error {
		path := filepath.Join("/tmp", fmt.Sprintf("elf32-%d", os.Getpid()))
		if err := os.WriteFile(path, elf32, 0o755); err != nil {
			return err
		}
		defer func() { _ = os.Remove(path) }()
		err := exec.Command(path).Run()
		if errors.Is(err, unix.ENOEXEC) {
			return errAbsent
		}
		return err
	}})
	add(Probe{Name: "x32", What: "a system call by its x32 number", Try: func(a *Aim) error {
		err := inChild(func() { _, _, _ = unix.RawSyscall(0x40000000|unix.SYS_GETPID, 0, 0, 0) })
		return err
	}})
	return ps
}

// elf32 is a 32-bit program for i386 that ends with status 0: one page, its code
// is mov $1, %eax; xor %ebx, %ebx; int $0x80.
var elf32 = append([]byte{
	0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0,
	0x54, 0x80, 0x04, 0x08, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0,
	1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, 0x5d, 0, 0, 0, 0x5d, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
}, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80)

// setuidPrograms starts each that can be found, and looks at whom it runs as.
func setuidPrograms(*Aim) error {
	n := 0
	for _, pattern := range []string{"/usr/bin/*", "/usr/sbin/*", "/usr/libexec/*", "/usr/lib/*/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			var st unix.Stat_t
			if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&unix.S_ISUID == 0 || st.Mode&0o111 == 0 {
				continue
			}
			n++
			if runsAsRoot(path) {
				return nil
			}
		}
	}
	if n == 0 {
		return errAbsent
	}
	return fmt.Errorf("%d programs run as who starts them", n)
}

// runsAsRoot starts a program that stops at its execve, and looks at its effective user.
func runsAsRoot(path string) bool {
	before := os.Geteuid()
	cmd := exec.Command(path)
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return false
	}
	defer func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var real, effective int
		if n, _ := fmt.Sscanf(line, "Uid:\t%d\t%d", &real, &effective); n == 2 {
			return effective != before
		}
	}
	return false
}

// inChild reports whether a process that calls f ends by itself.
func inChild(f func()) error {
	pid, _, errno := unix.RawSyscall(unix.SYS_FORK, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		f()
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &ws, 0, nil); err != nil {
		return err
	}
	if ws.Signaled() {
		return fmt.Errorf("killed by %s", ws.Signal())
	}
	return nil
}

// traced starts a process that waits to be traced, and calls f with its number.
func traced(f func(pid int) error) error {
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "10"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return err
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
	}()
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		return err
	}
	return f(pid)
}

func suspendFilters(*Aim) error {
	defer locked()()
	return traced(func(pid int) error { return unix.PtraceSetOptions(pid, 1<<21) }) // PTRACE_O_SUSPEND_SECCOMP
}

// traceAround lets a child make a call that is allowed, and makes another one of it.
func traceAround(*Aim) error {
	defer locked()()
	return traced(func(pid int) error {
		if err := unix.PtraceSyscall(pid, 0); err != nil {
			return err
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil { // at the entry of a call
			return err
		}
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(pid, &regs); err != nil {
			return err
		}
		replace(&regs, unix.SYS_UNSHARE, unix.CLONE_NEWUTS)
		if err := unix.PtraceSetRegs(pid, &regs); err != nil {
			return err
		}
		if err := unix.PtraceSyscall(pid, 0); err != nil {
			return err
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil { // at its end
			return err
		}
		if err := unix.PtraceGetRegs(pid, &regs); err != nil {
			return err
		}
		if r := result(&regs); r < 0 {
			return unix.Errno(-r)
		}
		return nil
	})
}
