//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const namespaceCategory = "Namespaces"

// locked keeps this goroutine on its thread until the returned function is called.
func locked() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func namespaceProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = namespaceCategory, "namespaces-"+p.Name; ps = append(ps, p) }
	unshares := func(flag int) func(*Aim) error {
		return func(*Aim) error { runtime.LockOSThread(); return unix.Unshare(flag) }
	}
	add(Probe{Name: "mount", What: "a mount namespace, where masks could be taken away", Try: unshares(unix.CLONE_NEWNS)})
	add(Probe{Name: "net", What: "a network namespace, to be its root", Try: unshares(unix.CLONE_NEWNET)})
	add(Probe{Name: "pid", What: "a namespace of processes", Try: unshares(unix.CLONE_NEWPID)})
	add(Probe{Name: "ipc", What: "a namespace of queues, with bounds of its own", Try: unshares(unix.CLONE_NEWIPC)})
	add(Probe{Name: "uts", What: "a namespace of names", Try: unshares(unix.CLONE_NEWUTS)})
	add(Probe{Name: "time", What: "a namespace of clocks", Try: unshares(unix.CLONE_NEWTIME)})
	add(Probe{Name: "user-clone", What: "a user namespace by clone, with all rights in it", Try: step(unix.CLONE_NEWUSER, "nothing")})
	add(Probe{Name: "user-unshare", What: "the same by unshare, of a process with one thread", Try: func(*Aim) error {
		return inChildErr(func() error {
			_, _, errno := unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
			return errnoOrNil(errno)
		})
	}})
	add(Probe{Name: "user-clone3", What: "the same by clone3, whose flags are in memory", Try: func(*Aim) error {
		args := struct{ flags, pidfd, child, parent, signal, stack, size, tls uint64 }{flags: unix.CLONE_NEWUSER, signal: uint64(unix.SIGCHLD)}
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno != 0 {
			if errno == unix.ENOSYS {
				return errors.New(errno.Error())
			}
			return errno
		}
		if pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		_, err := unix.Wait4(int(pid), nil, 0, nil)
		return err
	}})
	add(Probe{Name: "packet-filter", What: "the kernel's packet filter as root of a user namespace", CVE: "CVE-2022-34918, CVE-2024-1086", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNET, "packetfilter")})
	add(Probe{Name: "parent-user", What: "the user namespace around one's own, by ioctl", Try: around("user", unix.CLONE_NEWUSER)})
	add(Probe{Name: "parent-pid", What: "the namespace of processes around one's own, by ioctl", Try: around("pid", unix.CLONE_NEWPID)})
	add(Probe{Name: "of-socket", What: "the network namespace of a socket, by ioctl", Try: func(*Aim) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		ns, err := call(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGSKNS, 0)
		if err == nil {
			err = unix.Close(int(ns))
		}
		return err
	}})
	add(Probe{Name: "enter", What: "the namespaces of process 1, to be sure of nothing", Try: func(a *Aim) error {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", a.Init), unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return inChildErr(func() error {
			_, _, errno := unix.RawSyscall(unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWNS, 0)
			return errnoOrNil(errno)
		})
	}})
	add(Probe{Name: "host-name", What: "another host name", Try: func(*Aim) error {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		return unix.Sethostname([]byte(name))
	}})
	return ps
}

func errnoOrNil(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// inChildErr calls f in a process with one thread, and returns its errno.
func inChildErr(f func() error) error {
	pid, _, errno := unix.RawSyscall(unix.SYS_FORK, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		code := uintptr(0)
		if e, ok := f().(unix.Errno); ok { //nolint:errorlint // no allocation in a child without a runtime
			code = uintptr(e)
		}
		unix.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &ws, 0, nil); err != nil {
		return err
	}
	if ws.Signaled() {
		return fmt.Errorf("killed by %s", ws.Signal())
	}
	return errnoOrNil(unix.Errno(ws.ExitStatus()))
}

// around opens the parent of the namespace of process 1; outside of a namespace that was just made.
func around(kind string, flag uintptr) func(*Aim) error {
	return func(a *Aim) error {
		pid := a.Init
		if !a.Inside {
			p, stop, err := sleeper(flag)
			if err != nil {
				return err
			}
			defer stop()
			pid = p
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		parent, err := call(unix.SYS_IOCTL, uintptr(fd), 0xb702, 0) // NS_GET_PARENT
		if err != nil {
			return err
		}
		return unix.Close(int(parent))
	}
}

// packetFilter asks nf_tables for its generation, which takes CAP_NET_ADMIN.
func packetFilter() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	msg := make([]byte, 20)
	*(*uint32)(unsafe.Pointer(&msg[0])) = 20
	*(*uint16)(unsafe.Pointer(&msg[4])) = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN
	*(*uint16)(unsafe.Pointer(&msg[6])) = unix.NLM_F_REQUEST
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if err != nil {
		return err
	}
	if n >= 20 && *(*uint16)(unsafe.Pointer(&b[4])) == unix.NLMSG_ERROR {
		if e := *(*int32)(unsafe.Pointer(&b[16])); e != 0 {
			return unix.Errno(-e)
		}
	}
	return nil
}
