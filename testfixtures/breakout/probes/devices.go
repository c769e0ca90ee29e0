//go:build linux

package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const deviceCategory = "Devices"

func deviceProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = deviceCategory, "devices-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "disk", What: "the host's disk, by a node of one's own", Try: func(a *Aim) error {
		return node(a, unix.S_IFBLK, a.Disk)
	}})
	add(Probe{Name: "memory", What: "the kernel's log by a node of one's own, as a stand-in for memory and ports", Try: func(a *Aim) error {
		return node(a, unix.S_IFCHR, unix.Mkdev(1, 11))
	}})
	add(Probe{Name: "any", What: "any device in /dev but those of every container", Try: anyDevice})
	add(Probe{Name: "kmsg", What: "a line in the kernel's log", Try: func(*Aim) error { return os.WriteFile("/dev/kmsg", []byte("<7>breakout: a control\n"), 0) }})
	add(Probe{Name: "tun", What: "a network interface of one's own", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		req := [40]byte{16: 1} // IFF_TUN
		_, err = call(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req)))
		return err
	}})
	add(Probe{Name: "loop", What: "a loop device, to mount an image with", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/loop-control", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		_, err = unix.IoctlRetInt(fd, unix.LOOP_CTL_GET_FREE)
		return err
	}})
	add(Probe{Name: "kvm", What: "a virtual machine, by /dev/kvm", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/kvm", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		_, err = unix.IoctlRetInt(fd, 0xae00) // KVM_GET_API_VERSION
		return err
	}})
	add(Probe{Name: "fuse", What: "a file system of one's own making", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/fuse", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Mount("fuse", os.TempDir(), "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	}})
	add(Probe{Name: "entropy", What: "the machine's random numbers, said to be better than they are", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/random", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.IoctlSetPointerInt(fd, unix.RNDADDTOENTCNT, 0)
	}})
	add(Probe{Name: "replace", What: "/dev/null replaced by a link, for whoever opens it next", CVE: "CVE-2025-31133", Try: func(a *Aim) error {
		path := "/dev/null"
		if !a.Inside {
			path = "/dev/shm/null-" + a.Token
			if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
				return err
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		defer func() { _ = os.Remove(path) }()
		return os.Symlink("/proc/sysrq-trigger", path)
	}})
	add(Probe{Name: "console", What: "the machine's console", CVE: "CVE-2025-52565", Try: func(*Aim) error {
		fd, err := unix.Open("/dev/console", unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "new", What: "a new file in /dev, where programs of others look", Try: func(a *Aim) error {
		return temporary("/dev/breakout-"+a.Token, func(p string) error { return os.WriteFile(p, nil, 0o600) })
	}})
	return ps
}

// node makes a device node wherever it can, and opens it.
func node(a *Aim, kind uint32, dev uint64) error {
	var err error
	for _, dir := range []string{"/dev", "/dev/shm", "/tmp", a.Project, "/home/sandbox"} {
		path := filepath.Join(dir, "node-"+a.Token)
		if err = unix.Mknod(path, kind|0o666, int(dev)); err != nil {
			continue
		}
		var fd int
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		_ = os.Remove(path)
		if err == nil {
			return unix.Close(fd)
		}
	}
	return err
}

// ordinary are the devices of every container, and the terminal's.
var ordinary = []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx"}

func anyDevice(a *Aim) error {
	n := 0
	err := filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeDevice == 0 || slices.Contains(ordinary, d.Name()) || filepath.Dir(path) == "/dev/pts" {
			return nil //nolint:nilerr // what can't be listed is not what is looked for
		}
		n++
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != nil {
			return nil //nolint:nilerr // the next may do
		}
		_ = unix.Close(fd)
		return throughError(path)
	})
	var through throughError
	if errors.As(err, &through) {
		a.Found([]byte(through))
		return nil
	}
	return errors.Join(err, fmt.Errorf("of %d others none opens", n))
}

const terminalCategory = "Terminals"

// terminalProbes need a terminal of their own, as tries of them would otherwise fail for want of one.
func terminalProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = terminalCategory, "terminal-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "type", What: "a line typed on a terminal of one's own making (TIOCSTI)", CVE: "CVE-2017-5226", Try: onTerminal(func(fd int) error {
		b := byte('x')
		_, err := call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
		return err
	})})
	add(Probe{Name: "type-high-bit", What: "the same with a bit above those that the kernel looks at", CVE: "CVE-2019-10063, CVE-2023-28100", Try: onTerminal(func(fd int) error {
		b := byte('x')
		_, err := call(unix.SYS_IOCTL, uintptr(fd), 1<<32|unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
		return err
	})})
	add(Probe{Name: "paste", What: "a selection pasted on a console (TIOCLINUX)", CVE: "CVE-2023-28100", Try: onTerminal(func(fd int) error {
		b := byte(6)
		_, err := call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCLINUX, uintptr(unsafe.Pointer(&b)))
		return past(err, unix.ENOTTY, unix.EINVAL) // it came as far as the driver
	})})
	add(Probe{Name: "discipline", What: "a line discipline, for which the kernel loads a module", CVE: "CVE-2017-2636, CVE-2023-6546", Try: onTerminal(func(fd int) error {
		// N_HDLC; a kernel without it says so, after it has looked for the module.
		err := unix.IoctlSetPointerInt(fd, unix.TIOCSETD, 13)
		return past(err, unix.EINVAL)
	})})
	add(Probe{Name: "console-output", What: "what the machine's console shows, redirected", Try: onTerminal(func(fd int) error {
		_, err := call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCCONS, 0)
		if err == nil { // as it was
			if c, e := unix.Open("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY, 0); e == nil {
				_, _ = call(unix.SYS_IOCTL, uintptr(c), unix.TIOCCONS, 0)
				_ = unix.Close(c)
			}
		}
		return past(err, unix.EBUSY)
	})})
	add(Probe{Name: "hosts", What: "a terminal of the host's, by its path", Try: func(a *Aim) error {
		fd, err := unix.Open(a.Pts, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "stdio", What: "a terminal behind one of its first descriptors that is not of the sandbox's own /dev/pts", Try: func(a *Aim) error {
		if !a.Inside {
			fd, err := unix.Open(a.Pts, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			if err := unix.Dup2(fd, 0); err != nil {
				return err
			}
		}
		var own unix.Stat_t
		if err := unix.Stat("/dev/pts", &own); err != nil {
			return err
		}
		for fd := range 3 {
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev>>8 == 136 && (!a.Inside || st.Dev != own.Dev) {
				return nil
			}
		}
		return errors.New("there is none")
	}})
	add(Probe{Name: "hang-up", What: "a hang-up of one's terminal for all who have it", Cap: unix.CAP_SYS_TTY_CONFIG, Try: func(*Aim) error {
		_, _ = unix.Setsid() // may be a leader already
		return calls(unix.SYS_VHANGUP)(nil)
	}})
	return ps
}

// onTerminal calls f with a new terminal that is this session's.
func onTerminal(f func(fd int) error) func(*Aim) error {
	return func(*Aim) error {
		master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(master) }()
		n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
		if err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		_, _ = unix.Setsid() // may be a leader already
		fd, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		_ = unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0)
		return f(fd)
	}
}
