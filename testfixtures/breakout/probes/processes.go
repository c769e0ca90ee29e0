//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const processCategory = "Processes of the host"

func processProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = processCategory, "process-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "signal", What: "a signal, by number", Try: func(a *Aim) error { return unix.Kill(a.Victim, unix.SIGURG) }})
	add(Probe{Name: "signal-thread", What: "a signal to a thread", Try: func(a *Aim) error { return unix.Tgkill(a.Victim, a.Victim, unix.SIGURG) }})
	add(Probe{Name: "pidfd", What: "a handle of it", Try: func(a *Aim) error {
		fd, err := unix.PidfdOpen(a.Victim, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "pidfd-handle", What: "a handle of it by its file handle, which any pidfd's file system opens", Try: pidfdByHandle})
	add(Probe{Name: "trace", What: "tracing it", Try: func(a *Aim) error { return trace(a.Victim) }})
	add(Probe{Name: "read-memory", What: "reading its memory by process_vm_readv", Try: func(a *Aim) error {
		if !a.Inside {
			return vmRead(a.Victim, mapped(a.Victim))
		}
		return vmRead(a.Victim, 0x400000)
	}})
	add(Probe{Name: "namespace", What: "entering its namespaces", Try: func(a *Aim) error {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/uts", a.Victim), unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		runtime.LockOSThread()
		return unix.Setns(fd, 0)
	}})
	add(Probe{Name: "nice", What: "its priority", Try: func(a *Aim) error {
		n, err := unix.Getpriority(unix.PRIO_PROCESS, a.Victim)
		if err != nil {
			return err
		}
		return unix.Setpriority(unix.PRIO_PROCESS, a.Victim, 20-n)
	}})
	add(Probe{Name: "nice-of-all", What: "the priority of all of a user's", Try: func(a *Aim) error {
		if !a.Inside {
			return unix.Setpriority(unix.PRIO_PROCESS, a.Victim, 0)
		}
		return unix.Setpriority(unix.PRIO_USER, 0x7fff, 19) // somebody's on the host
	}})
	add(Probe{Name: "pages", What: "where its memory lies, by move_pages", Try: func(a *Aim) error {
		var status int32
		addr := uintptr(0x400000)
		_, err := call(unix.SYS_MOVE_PAGES, uintptr(a.Victim), 1, uintptr(unsafe.Pointer(&addr)), 0, uintptr(unsafe.Pointer(&status)), 0)
		return err
	}})
	add(Probe{Name: "compare", What: "addresses of the kernel's, by kcmp", Try: func(a *Aim) error {
		_, err := call(unix.SYS_KCMP, uintptr(a.Victim), uintptr(os.Getpid()), 0, 0, 0)
		return err
	}})
	return ps
}

// pidfdByHandle asks pidfs, which checks rights in no other way than by namespace, since Linux 6.14.
func pidfdByHandle(a *Aim) error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/self/fd/%d", fd), &st); err != nil {
		return err
	}
	ino := st.Ino
	if !a.Inside {
		v, err := unix.PidfdOpen(a.Victim, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(v) }()
		if err := unix.Fstat(v, &st); err != nil {
			return err
		}
		ino = st.Ino
	}
	h, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH|0x200) // AT_HANDLE_FID
	if err != nil {
		return errors.Join(err, errAbsent)
	}
	b := h.Bytes()
	if len(b) < 8 {
		return errAbsent
	}
	if !a.Inside {
		*(*uint64)(unsafe.Pointer(&b[0])) = ino
	} else {
		*(*uint64)(unsafe.Pointer(&b[0]))-- // the one before, most likely a process of the host's
	}
	got, err := unix.OpenByHandleAt(fd, unix.NewFileHandle(h.Type(), b), unix.O_RDONLY)
	if err == nil {
		err = unix.Close(got)
	}
	return err
}

func trace(pid int) error {
	runtime.LockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		return err
	}
	_ = unix.PtraceDetach(pid)
	return nil
}

// mapped is an address that a process has something at.
func mapped(pid int) uintptr {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0
	}
	var at uintptr
	_, _ = fmt.Sscanf(string(b), "%x-", &at)
	return at
}

func vmRead(pid int, at uintptr) error {
	b := make([]byte, 1)
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: at, Len: 1}}, 0)
	return err
}

const initCategory = "Process 1 of the sandbox"

// slowed is why commands may slow down process 1, and what it starts after them.
const slowed = "commands have the same user as process 1; it lasts as long as the sandbox and reaches nothing outside of it"

// initProbes aim at blast-init, which has the same user as the commands and starts the next ones: of other
// people, and of blast's checks. Outside the host's process stands for it.
func initProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = initCategory, "init-"+p.Name; ps = append(ps, p) }
	proc := func(a *Aim, file string) string { return fmt.Sprintf("/proc/%d/%s", a.Init, file) }
	add(Probe{Name: "trace", What: "tracing it", Try: func(a *Aim) error { return trace(a.Init) }})
	add(Probe{Name: "memory", What: "its memory, opened for writing", Try: func(a *Aim) error { return opensForWriting(a, proc(a, "mem")) }})
	add(Probe{Name: "read-memory", What: "its memory by process_vm_readv", Try: func(a *Aim) error {
		if !a.Inside {
			return vmRead(a.Init, mapped(a.Init))
		}
		return past(vmRead(a.Init, 0x400000), unix.EFAULT)
	}})
	add(Probe{Name: "maps", What: "where its memory is", Try: func(a *Aim) error { return a.read(proc(a, "maps")) }})
	add(Probe{Name: "environ", What: "its environment, which the daemon gave it", Try: func(a *Aim) error { return a.read(proc(a, "environ")) }})
	add(Probe{Name: "descriptors", What: "its descriptors: the socket that it takes commands from", CVE: "CVE-2016-9962", Try: func(a *Aim) error {
		es, err := os.ReadDir(proc(a, "fd"))
		for _, e := range es {
			if _, e := os.Readlink(proc(a, "fd/"+e.Name())); e == nil {
				return nil
			}
		}
		return errors.Join(err, errors.New("none can be read"))
	}})
	add(Probe{Name: "steal", What: "a descriptor of its, by pidfd_getfd", Try: func(a *Aim) error {
		p, err := unix.PidfdOpen(a.Init, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(p) }()
		last := errAbsent
		for n := range 16 {
			fd, err := unix.PidfdGetfd(p, n, 0)
			if err == nil {
				return unix.Close(fd)
			}
			last = err
		}
		return last
	}})
	add(Probe{Name: "program", What: "its program, which is the host's, by /proc", CVE: "CVE-2019-5736", Try: func(a *Aim) error { return opensForWriting(a, proc(a, "exe")) }})
	add(Probe{Name: "program-path", What: "the same by its path, through a descriptor that says nothing of writing", CVE: "CVE-2019-5736", Try: func(a *Aim) error {
		path := "/.blast-init"
		if !a.Inside {
			path = a.Shown
		}
		fd, err := unix.Open(path, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return opensForWriting(a, fmt.Sprintf("/proc/self/fd/%d", fd))
	}})
	add(Probe{Name: "root", What: "the host's files behind its root folder", Reads: true, Try: func(a *Aim) error { return a.read(proc(a, "root"+a.Secret)) }})
	add(Probe{Name: "folder", What: "the host's files behind its working folder", Reads: true, Try: func(a *Aim) error {
		return first(func() error { return a.read(proc(a, "cwd/secret")) }, func() error { return a.read(proc(a, "cwd/../../../../../../../.."+a.Secret)) })
	}})
	add(Probe{Name: "limits", What: "its limits, so that it can't start anything any more", Try: func(a *Aim) error {
		var l unix.Rlimit
		if err := unix.Prlimit(a.Init, unix.RLIMIT_NOFILE, nil, &l); err != nil {
			return err
		}
		return unix.Prlimit(a.Init, unix.RLIMIT_NOFILE, &l, nil)
	}})
	add(Probe{Name: "victim-first", What: "its place in the queue of who is killed when memory is out", Known: slowed, Try: func(a *Aim) error {
		return os.WriteFile(proc(a, "oom_score_adj"), []byte("900"), 0)
	}})
	add(Probe{Name: "map", What: "its user namespace's ids", Try: func(a *Aim) error {
		if !a.Inside {
			pid, stop, err := sleeper(unix.CLONE_NEWUSER)
			if err != nil {
				return err
			}
			defer stop()
			return os.WriteFile(fmt.Sprintf("/proc/%d/gid_map", pid), []byte("0 0 1\n"), 0)
		}
		return first(func() error { return os.WriteFile(proc(a, "uid_map"), []byte("0 0 1\n"), 0) }, func() error { return os.WriteFile(proc(a, "gid_map"), []byte("0 0 1\n"), 0) })
	}})
	add(Probe{Name: "kill", What: "its end, by every signal that there is", Try: func(a *Aim) error {
		if !a.Inside { // as with anybody who is process 1 of nothing
			cmd := exec.Command("/bin/sleep", "60")
			if err := cmd.Start(); err != nil {
				return err
			}
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				return err
			}
			return past(errors.Unwrap(errors.Unwrap(cmd.Wait())))
		}
		for sig := unix.Signal(1); sig <= 64; sig++ {
			_ = unix.Kill(1, sig)
			_ = unix.Tgkill(1, 1, sig)
		}
		return errors.New("it lives, or this would not be here")
	}})
	add(Probe{Name: "priority", What: "its priority, which all that it starts has from it", Known: slowed, Try: func(a *Aim) error { return unix.Setpriority(unix.PRIO_PROCESS, a.Init, 5) }})
	add(Probe{Name: "scheduling", What: "its scheduling class: idle, likewise", Known: slowed, Try: func(a *Aim) error {
		var param int32
		_, err := call(unix.SYS_SCHED_SETSCHEDULER, uintptr(a.Init), 5, uintptr(unsafe.Pointer(&param)))
		return err
	}})
	add(Probe{Name: "affinity", What: "its processors, likewise", Known: slowed, Try: func(a *Aim) error {
		var set unix.CPUSet
		set.Set(0)
		return unix.SchedSetaffinity(a.Init, &set)
	}})
	add(Probe{Name: "disk-priority", What: "its priority at the disk, likewise", Known: slowed, Try: func(a *Aim) error {
		_, err := call(unix.SYS_IOPRIO_SET, 1, uintptr(a.Init), 3<<13)
		return err
	}})
	return ps
}
