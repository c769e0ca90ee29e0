//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const syscallCategory = "System calls"

// What calls are given by address has one that stays.
var (
	ring  [128]byte
	array = [16]uint64{2 | 4<<32, 8 | 1<<32} // BPF_MAP_TYPE_ARRAY, keys of 4 bytes, values of 8, one of them
)

func syscallProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = syscallCategory, "syscall-"+p.Name; ps = append(ps, p) }
	fdOf := func(nr uintptr, args ...uintptr) func(*Aim) error {
		return func(*Aim) error {
			fd, err := call(nr, args...)
			if err == nil {
				err = unix.Close(int(fd))
			}
			return err
		}
	}
	add(Probe{Name: "io-uring", What: "io_uring, whose operations pass no filter", CVE: "CVE-2022-29582, CVE-2023-2598", Try: func(a *Aim) error {
		err := fdOf(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&ring)))(a)
		if !a.Inside && errors.Is(err, unix.EPERM) { // kernel.io_uring_disabled = 2
			return errAbsent
		}
		return err
	}})
	add(Probe{Name: "bpf", What: "a map of the kernel's virtual machine", CVE: "CVE-2021-31440, CVE-2022-23222", Try: fdOf(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&array)), 72)})
	add(Probe{Name: "perf", What: "performance events of the processor", CVE: "CVE-2013-2094, CVE-2022-1729", Try: func(*Aim) error {
		a := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_CPU_CLOCK}
		fd, err := unix.PerfEventOpen(&a, 0, -1, -1, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "userfaultfd", What: "page faults handled by oneself, which stop the kernel in the middle of things", CVE: "CVE-2021-22555", Try: fdOf(unix.SYS_USERFAULTFD, unix.O_CLOEXEC)})
	add(Probe{Name: "userfaultfd-device", What: "the same by /dev/userfaultfd", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/userfaultfd", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return fdOf(unix.SYS_IOCTL, uintptr(fd), 0xaa00, unix.O_CLOEXEC)(nil)
	}})
	add(Probe{Name: "add-key", What: "a key in the kernel's keyrings, which are of no namespace", CVE: "CVE-2016-0728", Try: func(*Aim) error {
		_, err := call(unix.SYS_ADD_KEY, str("user"), str("breakout"), str("x"), 1, ^uintptr(0)) // the thread's own
		return err
	}})
	add(Probe{Name: "request-key", What: "a key that the kernel has a program of the host's look for", Try: func(*Aim) error {
		_, err := call(unix.SYS_REQUEST_KEY, str("user"), str("breakout"), 0, 0)
		return past(err, unix.ENOKEY)
	}})
	add(Probe{Name: "keyctl", What: "the session's keyring", Try: func(*Aim) error {
		_, err := call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(1), 1) // the process's
		return err
	}})
	add(Probe{Name: "module", What: "a module for the kernel, from memory", Try: func(*Aim) error {
		_, err := call(unix.SYS_INIT_MODULE, str("x"), 1, str(""))
		return past(err, unix.ENOEXEC)
	}})
	add(Probe{Name: "module-file", What: "a module, from a file", Try: func(*Aim) error {
		_, err := call(unix.SYS_FINIT_MODULE, ^uintptr(0), str(""), 0)
		return past(err, unix.EBADF)
	}})
	add(Probe{Name: "module-remove", What: "a module of the kernel's taken away", Try: func(*Aim) error {
		_, err := call(unix.SYS_DELETE_MODULE, str("breakout"), unix.O_NONBLOCK)
		return past(err, unix.ENOENT)
	}})
	add(Probe{Name: "kexec", What: "another kernel", Try: func(*Aim) error {
		_, err := call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 1<<20)
		return past(err, unix.EINVAL)
	}})
	add(Probe{Name: "reboot", What: "a restart of the machine", Try: func(*Aim) error {
		_, err := call(unix.SYS_REBOOT, 0, 0, 0, 0) // rights first, then magic numbers
		return past(err, unix.EINVAL)
	}})
	add(Probe{Name: "clock", What: "the machine's clock", Try: func(*Aim) error {
		var t unix.Timex
		if _, err := unix.Adjtimex(&t); err != nil {
			return err
		}
		t.Modes = unix.ADJ_TICK // as it is
		_, err := unix.Adjtimex(&t)
		return err
	}})
	add(Probe{Name: "clock-set", What: "the same by clock_settime, to what it is", Try: func(*Aim) error {
		now := unix.NsecToTimespec(time.Now().UnixNano())
		return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
	}})
	add(Probe{Name: "accounting", What: "the host's record of processes", Cap: unix.CAP_SYS_PACCT, Try: func(*Aim) error {
		return past(unix.Acct("/nonexistent"), unix.ENOENT)
	}})
	add(Probe{Name: "io-ports", What: "the machine's ports", Try: func(*Aim) error { _, err := call(unix.SYS_IOPERM, 0x80, 1, 1); return err }})
	add(Probe{Name: "fanotify", What: "who opens what on the host", Try: fdOf(unix.SYS_FANOTIFY_INIT, unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, 0)})
	add(Probe{Name: "aio", What: "the machine's requests of asynchronous I/O, of which there are 65 536 for all", Try: func(*Aim) error {
		var ctx uintptr
		if _, err := call(unix.SYS_IO_SETUP, 1024, uintptr(unsafe.Pointer(&ctx))); err != nil {
			return err
		}
		_, err := call(unix.SYS_IO_DESTROY, ctx)
		return err
	}})
	add(Probe{Name: "ldt", What: "segments of one's own", CVE: "CVE-2015-5157, CVE-2017-17053", Try: func(*Aim) error {
		desc := struct{ entry, base, limit, flags uint32 }{0, 0, 0xfffff, 0x51}
		_, err := call(unix.SYS_MODIFY_LDT, 1, uintptr(unsafe.Pointer(&desc)), unsafe.Sizeof(desc))
		return err
	}})
	add(Probe{Name: "personality", What: "the same addresses in each process: no randomness", Try: func(*Aim) error {
		_, err := call(unix.SYS_PERSONALITY, 0x0040000) // ADDR_NO_RANDOMIZE
		return err
	}})
	add(Probe{Name: "lease", What: "a lease on a file of the project, so that whoever opens it waits", Try: func(a *Aim) error {
		return onFile(a.Project, func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
			return past(err, unix.EAGAIN)
		})
	}})
	add(Probe{Name: "pages-of-others", What: "the pages of another process moved or advised", Try: func(a *Aim) error {
		fd, err := unix.PidfdOpen(a.Init, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&ring)), Len: 0}
		_, err = call(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&v)), 1, 20, 0) // MADV_COLD
		return err
	}})
	sock := func(name, what, cve string, domain, kind, proto int) {
		add(Probe{Name: name, What: what, CVE: cve, Try: fdOf(unix.SYS_SOCKET, uintptr(domain), uintptr(kind), uintptr(proto))})
	}
	sock("packet-socket", "packets as they are on the wire", "CVE-2020-14386", unix.AF_PACKET, unix.SOCK_RAW, 0)
	sock("vsock", "the hypervisor", "CVE-2021-26708", unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	sock("crypto-socket", "the kernel's ciphers", "CVE-2016-10147", unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
	sock("key-socket", "keys of IPsec", "CVE-2022-1353", unix.AF_KEY, unix.SOCK_RAW, 2)
	sock("uevent-socket", "messages about devices", "", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT)
	sock("audit-socket", "the kernel's audit log", "", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT)
	sock("sctp-socket", "a protocol for which the kernel loads a module", "CVE-2021-23133", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
	add(Probe{Name: "upper-protocol", What: "TLS in the kernel, below a socket's own protocol (TCP_ULP)", CVE: "CVE-2023-0461, CVE-2024-26585", Try: upperProtocol})
	add(Probe{Name: "vhost", What: "rings shared with the kernel, by /dev/vhost-net", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/vhost-net", unix.O_RDWR, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "core-helper", What: "the host's program for crashes started as root, outside of all limits, by a crash", CVE: "CVE-2022-4415, CVE-2025-4598", Try: func(*Aim) error {
		// core(5): a pipe in core_pattern is started whatever the limit, unless it is 1.
		for _, max := range []uint64{unix.RLIM_INFINITY, 2} {
			if unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: max, Max: max}) == nil {
				break
			}
		}
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
			return err
		}
		if l.Cur == 1 {
			return errors.New("a limit of 1, which says that none is started")
		}
		return nil
	}})
	return ps
}

// upperProtocol asks for TLS on a socket without a connection: if the kernel has it, it
// says that this has none yet. Only root has it look for the module.
func upperProtocol(a *Aim) error {
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(c) }()
	err = past(unix.SetsockoptString(c, unix.IPPROTO_TCP, unix.TCP_ULP, "tls"), unix.ENOTCONN)
	if a.Inside { // the kernel was asked, with whatever it has
		err = past(err, unix.ENOENT)
	}
	return err
}

// sleeper starts a process in new namespaces.
func sleeper(flags uintptr) (pid int, stop func(), err error) {
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start: %w", err)
	}
	return cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}
