//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const fileCategory = "Files of the host"

func fileProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = fileCategory, "files-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "secret", What: "a file of root's, by its path", Reads: true, Try: func(a *Aim) error { return a.read(a.Secret) }})
	add(Probe{Name: "shown", What: "a file that anybody on the host may read, outside of the base", Reads: true, Try: func(a *Aim) error { return a.read(a.Shown) }})
	add(Probe{Name: "shadow", What: "the host's passwords", Try: onlyOn("/etc/shadow", (*Aim).read)})
	add(Probe{Name: "root-home", What: "root's home folder", Try: func(*Aim) error { _, err := os.ReadDir("/root"); return err }})
	add(Probe{Name: "dotdot", What: "above the root folder, step by step with descriptors", Reads: true, Try: func(a *Aim) error {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		for range 32 {
			if fd, err = unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
				return err
			}
		}
		return a.read(fmt.Sprintf("/proc/self/fd/%d%s", fd, a.Secret))
	}})
	add(Probe{Name: "chroot", What: "out of a chroot inside the chroot, with a folder held", Reads: true, Try: func(a *Aim) error {
		dir, err := os.MkdirTemp("", "chroot")
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(dir) }()
		if err := unix.Chroot(dir); err != nil {
			return err
		}
		if err := errors.Join(unix.Chdir(strings.Repeat("../", 32)), unix.Chroot(".")); err != nil {
			return err
		}
		return a.read(a.Secret)
	}})
	add(Probe{Name: "handle", What: "the secret's file handle, opened through a mount of the same file system (shocker)", Reads: true, Try: byHandle})
	add(Probe{Name: "handle-root", What: "the root folder of the file system that a mount is of, by its inode", CVE: "shocker, 2014", Try: func(*Aim) error {
		mount, err := unix.Open("/usr", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(mount) }()
		fd, err := unix.OpenByHandleAt(mount, unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}), unix.O_RDONLY)
		if err = past(err, unix.ESTALE); err == nil && fd > 0 {
			_ = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "base-write", What: "a file of the host's base, opened for writing", Try: func(a *Aim) error { return opensForWriting(a, "/usr/lib/os-release") }})
	add(Probe{Name: "base-create", What: "a new file beside the host's programs", Try: func(a *Aim) error {
		return temporary("/usr/bin/.blast-breakout-"+a.Token, func(p string) error { return os.WriteFile(p, nil, 0o600) })
	}})
	add(Probe{Name: "base-mapping", What: "a shared writable mapping of a file of the base", Try: func(*Aim) error {
		fd, err := unix.Open("/usr/lib/os-release", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		return unix.Munmap(m)
	}})
	add(Probe{Name: "base-times", What: "the times and the mode of a file of the base", Try: func(*Aim) error {
		var st unix.Stat_t
		if err := unix.Stat("/usr/lib/os-release", &st); err != nil {
			return err
		}
		return errors.Join(unix.Chmod("/usr/lib/os-release", st.Mode&0o7777), unix.UtimesNano("/usr/lib/os-release", []unix.Timespec{st.Atim, st.Mtim}))
	}})
	add(Probe{Name: "skeleton", What: "a new file in the sandbox's root folder, which lies in the host's /run", Try: func(a *Aim) error {
		return temporary("/.blast-breakout-"+a.Token, func(p string) error { return os.WriteFile(p, nil, 0o600) })
	}})
	add(Probe{Name: "open-tree-link", What: "a link to the secret through /proc, followed by the kernel for somebody else", Reads: true, Try: func(a *Aim) error {
		link := filepath.Join(os.TempDir(), "link-"+a.Token)
		if err := os.Symlink(fmt.Sprintf("/proc/%d/root%s", a.Init, a.Secret), link); err != nil {
			return err
		}
		defer func() { _ = os.Remove(link) }()
		return a.read(link)
	}})
	add(Probe{Name: "freeze", What: "the file system below frozen, so that all who write wait", Try: func(a *Aim) error {
		return onFolder(a.writable(), func(fd int) error {
			_, err := call(unix.SYS_IOCTL, uintptr(fd), fiFreeze, 0)
			return past(err, unix.EOPNOTSUPP)
		})
	}})
	add(Probe{Name: "immutable", What: "a file of the project that not even its owner can remove", Cap: unix.CAP_LINUX_IMMUTABLE, Try: func(a *Aim) error {
		return onFile(a.Project, func(fd int) error {
			flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
			if err != nil {
				return err
			}
			if err := unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|immutable)); err != nil {
				return err
			}
			return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags))
		})
	}})
	return ps
}

// writable is a folder of the sandbox's own that is a file system of its own; outside it is one in memory.
func (a *Aim) writable() string {
	if a.Inside {
		return "/home/sandbox"
	}
	return "/dev/shm"
}

func byHandle(a *Aim) error {
	err := errAbsent
	for _, dir := range []string{"/usr", "/workspace", "/home/sandbox", "/", a.Folder} {
		mount, e := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if e != nil {
			continue
		}
		var fd int
		fd, err = unix.OpenByHandleAt(mount, unix.NewFileHandle(a.Kind, a.Handle), unix.O_RDONLY)
		_ = unix.Close(mount)
		if err == nil {
			return a.read(fmt.Sprintf("/proc/self/fd/%d", fd))
		}
	}
	return err
}

// temporary makes something and removes it again.
func temporary(path string, f func(string) error) error {
	err := f(path)
	_ = os.Remove(path)
	return err
}

// onFile calls f with the descriptor of a new file in dir.
func onFile(dir string, f func(fd int) error) error {
	file, err := os.CreateTemp(dir, "")
	if err != nil {
		return err
	}
	defer func() { _ = file.Close(); _ = os.Remove(file.Name()) }()
	return f(int(file.Fd()))
}

func onFolder(dir string, f func(fd int) error) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return f(fd)
}

const (
	fiFreeze  = 0xc0045877 // FIFREEZE of linux/fs.h
	immutable = 0x10       // FS_IMMUTABLE_FL
)

const plantCategory = "What the host would believe"

const setuid = 0o4755

// plantProbes leave something in the project's folder, which the host sees.
func plantProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = plantCategory, "plant-"+p.Name; ps = append(ps, p) }
	planted := func(do func(path string) error) func(*Aim) error {
		return func(a *Aim) error {
			path := filepath.Join(a.Project, "planted-"+a.Token)
			return temporary(path, func(string) error {
				if err := do(path); err != nil {
					return err
				}
				return special(path)
			})
		}
	}
	file := func(path string) error { return os.WriteFile(path, nil, 0o755) }
	add(Probe{Name: "setuid-chmod", What: "a program that runs as its owner on the host, by chmod", Try: planted(func(p string) error {
		return errors.Join(file(p), unix.Chmod(p, setuid))
	})})
	add(Probe{Name: "setuid-fchmodat2", What: "the same by a newer call", Try: planted(func(p string) error {
		if err := file(p); err != nil {
			return err
		}
		_, err := call(unix.SYS_FCHMODAT2, ^uintptr(99), str(p), setuid, 0)
		return err
	})})
	add(Probe{Name: "setuid-open", What: "the same by the mode of a new file", Try: planted(func(p string) error {
		unix.Umask(0)
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY, setuid)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	})})
	add(Probe{Name: "setuid-openat2", What: "the same with the mode in memory, where no filter looks", Try: planted(func(p string) error {
		unix.Umask(0)
		fd, err := unix.Openat2(unix.AT_FDCWD, p, &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY, Mode: setuid})
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	})})
	add(Probe{Name: "setuid-mknod", What: "the same by mknod", Try: planted(func(p string) error {
		unix.Umask(0)
		return unix.Mknod(p, unix.S_IFREG|setuid, 0)
	})})
	add(Probe{Name: "setuid-tmpfile", What: "the same for a file without a name, linked afterwards", Try: planted(func(p string) error {
		unix.Umask(0)
		fd, err := unix.Open(filepath.Dir(p), unix.O_TMPFILE|unix.O_RDWR, setuid)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p, unix.AT_SYMLINK_FOLLOW)
	})})
	add(Probe{Name: "setgid-folder", What: "a folder that gives its group to what comes into it", Try: planted(func(p string) error {
		return errors.Join(os.Mkdir(p, 0o755), unix.Chmod(p, 0o2755))
	})})
	add(Probe{Name: "capability", What: "a program with capabilities on the host", Try: planted(func(p string) error {
		if err := file(p); err != nil {
			return err
		}
		// struct vfs_cap_data, version 2, CAP_SYS_ADMIN
		return unix.Setxattr(p, "security.capability", []byte{1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)
	})})
	add(Probe{Name: "device", What: "a node of the host's disk", Try: func(a *Aim) error {
		path := filepath.Join(a.Project, "planted-"+a.Token)
		return temporary(path, func(string) error { return unix.Mknod(path, unix.S_IFBLK|0o666, int(a.Disk)) })
	}})
	add(Probe{Name: "owner", What: "a file that belongs to somebody else on the host", Try: func(a *Aim) error {
		path := filepath.Join(a.Project, "planted-"+a.Token)
		return temporary(path, func(string) error { return errors.Join(file(path), os.Lchown(path, 4242, 4242)) })
	}})
	for _, f := range [][3]string{
		{"policy", "blast.hcl", "a policy of one's own in blast.hcl"}, {"hook", ".git/hooks/post-checkout", "a hook that git on the host would run"},
		{"git-config", ".git/config", "a setting of git with a program in it"}, {"state", ".blast/worker/state.json", "what Blast has on record"},
	} {
		add(Probe{Name: f[0], What: f[2], Writes: true, Try: func(a *Aim) error { return a.marks(filepath.Join(a.Project, f[1])) }})
	}
	add(Probe{Name: "policy-rename", What: "blast.hcl moved away, and another one put in its place", Writes: true, Try: func(a *Aim) error {
		path, aside := filepath.Join(a.Project, "blast.hcl"), filepath.Join(a.Project, "aside-"+a.Token)
		if err := os.Rename(path, aside); err != nil {
			return err
		}
		return a.marks(path)
	}})
	add(Probe{Name: "policy-link", What: "blast.hcl under another name, which is not protected", Writes: true, Try: func(a *Aim) error {
		other := filepath.Join(a.Project, "other-"+a.Token)
		if err := os.Link(filepath.Join(a.Project, "blast.hcl"), other); err != nil {
			return err
		}
		defer func() { _ = os.Remove(other) }()
		return a.marks(other)
	}})
	return ps
}

// special is nil if a file has rights that a plain one hasn't.
func special(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	n, err := unix.Getxattr(path, "security.capability", make([]byte, 64))
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) == 0 && (err != nil || n == 0) {
		return errors.New("it has no more rights than any other")
	}
	return nil
}

const mountCategory = "Mounts"

func mountProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = mountCategory, "mounts-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "tmpfs", What: "a file system of one's own", Try: func(*Aim) error { return mountTmpfs(os.TempDir()) }})
	add(Probe{Name: "bind", What: "a folder of the base bound elsewhere", Try: func(*Aim) error { return unix.Mount("/usr", os.TempDir(), "", unix.MS_BIND, "") }})
	add(Probe{Name: "remount", What: "the base made writable", Try: func(a *Aim) error {
		if !a.Inside {
			if err := errors.Join(unix.Mount("/usr", "/usr", "", unix.MS_BIND, ""), unix.Mount("", "/usr", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")); err != nil {
				return err
			}
		}
		return errors.Join(unix.Mount("", "/usr", "", unix.MS_REMOUNT|unix.MS_BIND, ""), opensForWriting(a, "/usr/lib/os-release"))
	}})
	add(Probe{Name: "setattr", What: "the same by mount_setattr", Try: func(a *Aim) error {
		if !a.Inside {
			if err := unix.Mount("/usr", "/usr", "", unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				return err
			}
		}
		return unix.MountSetattr(unix.AT_FDCWD, "/usr", unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}})
	add(Probe{Name: "unmask", What: "a mask taken away, to see what is below it", Try: func(a *Aim) error {
		target := "/proc/kallsyms"
		if !a.Inside {
			if err := unix.Mount("/dev/null", target, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
		return unix.Unmount(target, unix.MNT_DETACH)
	}})
	add(Probe{Name: "move", What: "a mask moved elsewhere by move_mount", Try: func(a *Aim) error {
		from := "/proc/kallsyms"
		to, err := os.CreateTemp("", "")
		if err != nil {
			return err
		}
		defer func() { _ = to.Close(); _ = os.Remove(to.Name()) }()
		if !a.Inside {
			if err := unix.Mount("/dev/null", from, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
		return unix.MoveMount(unix.AT_FDCWD, from, unix.AT_FDCWD, to.Name(), 0)
	}})
	add(Probe{Name: "open-tree", What: "a copy of a mount without what is mounted below it, so without the masks", Try: func(*Aim) error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc", unix.OPEN_TREE_CLONE)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}})
	add(Probe{Name: "fsopen", What: "a file system by the new calls", CVE: "CVE-2022-0185", Try: func(*Aim) error { return fsconfig("tmpfs") }})
	add(Probe{Name: "fsconfig-userns", What: "the same as root of a user namespace", CVE: "CVE-2022-0185", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS, "fsconfig")})
	add(Probe{Name: "pivot", What: "another root folder", Try: func(*Aim) error {
		_, err := call(unix.SYS_PIVOT_ROOT, str("/usr"), str("/usr"))
		return past(err, unix.EBUSY, unix.EINVAL)
	}})
	add(Probe{Name: "userns-tmpfs", What: "a mount as root of a user namespace", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS, "tmpfs")})
	add(Probe{Name: "userns-overlay", What: "an overlay that copies a program up with its rights", CVE: "CVE-2021-3493, CVE-2023-0386", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS, "overlay")})
	add(Probe{Name: "userns-proc", What: "a /proc of one's own, without masks", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWPID, "proc")})
	add(Probe{Name: "userns-sysfs", What: "a /sys of one's own", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWNET, "sysfs")})
	add(Probe{Name: "over-proc", What: "a file over /proc/self/attr, where a runtime would write its label", CVE: "CVE-2019-16884, CVE-2023-27561", Try: func(*Aim) error {
		return unix.Mount("tmpfs", "/proc/self/attr", "tmpfs", 0, "")
	}})
	add(Probe{Name: "detach-workspace", What: "the workspace taken away, with the protections in it, to see the folder below", Try: func(a *Aim) error {
		if !a.Inside {
			if err := unix.Mount(a.Project, a.Project, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
		return unix.Unmount(a.Project, unix.MNT_DETACH)
	}})
	add(Probe{Name: "swap", What: "a file as swap space", Try: func(*Aim) error {
		_, err := call(unix.SYS_SWAPON, str("/nonexistent"), 0)
		return past(err, unix.ENOENT)
	}})
	add(Probe{Name: "quota", What: "a disk quota switched off", Try: func(*Aim) error {
		_, err := call(unix.SYS_QUOTACTL, 0x80000100, 0, 0, 0) // Q_SYNC; with a device it goes on to look at the rights
		if err != nil {
			return err
		}
		_, err = call(unix.SYS_QUOTACTL, 0x80000300, str("/dev/null"), 0, 0) // Q_QUOTAOFF
		return past(err, unix.ENOTBLK, unix.ESRCH, unix.ENODEV)
	}})
	return ps
}

func mountTmpfs(on string) error { return unix.Mount("tmpfs", on, "tmpfs", 0, "") }

// fsconfig makes a file system context and gives it a parameter.
func fsconfig(kind string) error {
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.FsconfigSetString(fd, "source", "x")
}

// steps are what is done in new namespaces.
var steps = map[string]func(*Aim) error{
	"fsconfig": func(*Aim) error { return fsconfig("tmpfs") },
	"tmpfs":    func(*Aim) error { return mountTmpfs("/tmp") },
	"sysfs":    func(*Aim) error { return unix.Mount("sysfs", "/sys", "sysfs", 0, "") },
	"proc": func(a *Aim) error {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return err
		}
		return a.read("/proc/kallsyms")
	},
	"overlay": func(*Aim) error {
		if err := mountTmpfs("/tmp"); err != nil {
			return err
		}
		for _, d := range []string{"/tmp/up", "/tmp/work", "/tmp/merged"} {
			if err := os.Mkdir(d, 0o755); err != nil {
				return err
			}
		}
		return unix.Mount("overlay", "/tmp/merged", "overlay", 0, "lowerdir=/usr/share,upperdir=/tmp/up,workdir=/tmp/work,userxattr")
	},
	"cgroup2":      cgroup2,
	"release":      releaseAgent,
	"packetfilter": func(*Aim) error { return packetFilter() },
	"nothing":      func(*Aim) error { return nil },
}
