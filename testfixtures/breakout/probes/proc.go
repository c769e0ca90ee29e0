//go:build linux

package probes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const procCategory = "/proc and /sys"

func procProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = procCategory, "proc-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "core-pattern", What: "the program that the host's kernel runs as root for a crash", CVE: "CVE-2025-52881", Try: onlyOn("/proc/sys/kernel/core_pattern", rewrite)})
	add(Probe{Name: "modprobe", What: "the program that it runs to load a module", Try: onlyOn("/proc/sys/kernel/modprobe", rewrite)})
	add(Probe{Name: "uevent-helper", What: "the program that it runs for a new device", Try: onlyOn("/sys/kernel/uevent_helper", opensForWriting)})
	add(Probe{Name: "binfmt", What: "an interpreter of one's own for all programs of the host", Try: binfmt})
	add(Probe{Name: "sysrq", What: "the keys that restart a machine", Try: onlyOn("/proc/sysrq-trigger", opensForWriting)})
	add(Probe{Name: "sysctl", What: "any setting of the kernel, of the 1 000 that there are", Try: func(a *Aim) error { return anyFile(a, "/proc/sys", rewrite) }})
	add(Probe{Name: "writable", What: "anything else of the machine's in /proc that can be written to", Try: func(a *Aim) error { return anyFile(a, "/proc", opensForWriting) }})
	add(Probe{Name: "sysfs", What: "anything in /sys that can be written to", Try: func(a *Aim) error { return anyFile(a, "/sys/kernel", opensForWriting) }})
	add(Probe{Name: "sysfs-read", What: "the machine's devices, in /sys", Try: func(*Aim) error {
		es, err := os.ReadDir("/sys")
		if err == nil && len(es) == 0 {
			err = errors.New("it is empty")
		}
		return err
	}})
	add(Probe{Name: "kcore", What: "the machine's memory", Try: onlyOn("/proc/kcore", (*Aim).read)})
	add(Probe{Name: "kallsyms", What: "where the kernel's functions are", Try: onlyOn("/proc/kallsyms", func(a *Aim, path string) error {
		b, err := os.ReadFile(path)
		if err == nil && !regexp.MustCompile(`(?m)^[0-9a-f]*[1-9a-f][0-9a-f]* [tT] `).Match(b) {
			err = errors.New("no address is told")
		}
		return err
	})})
	add(Probe{Name: "pagemap", What: "which page of the machine's memory one's own is (rowhammer)", Try: pageFrame})
	add(Probe{Name: "keys", What: "the keys of others", Try: onlyOn("/proc/keys", (*Aim).read)})
	add(Probe{Name: "kmsg", What: "the kernel's log, by file", Try: onlyOn("/proc/kmsg", func(_ *Aim, path string) error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	})})
	add(Probe{Name: "syslog", What: "the kernel's log, by call", Try: func(*Aim) error { _, err := unix.Klogctl(3, make([]byte, 256)); return err }})
	add(Probe{Name: "timers", What: "addresses of the kernel and names of processes, in /proc/timer_list", Try: onlyOn("/proc/timer_list", (*Aim).read)})
	add(Probe{Name: "interrupts", What: "when somebody types, by the counts of interrupts", Try: onlyOn("/proc/interrupts", (*Aim).read)})
	add(Probe{Name: "slab", What: "what the kernel's memory is used for", Try: onlyOn("/proc/slabinfo", (*Aim).read)})
	add(Probe{Name: "page-counts", What: "who uses which page of memory", Try: onlyOn("/proc/kpagecount", (*Aim).read)})
	add(Probe{Name: "masks", What: "a mask that is no device node of the kernel's, but leads somewhere", CVE: "CVE-2025-31133", Try: masks})
	victim := func(name, what, file string) {
		add(Probe{Name: "victim-" + name, What: what + " of a process of the host's, by its number", Reads: true, Try: func(a *Aim) error {
			return a.read(fmt.Sprintf("/proc/%d/%s", a.Victim, strings.ReplaceAll(file, "SECRET", a.Secret)))
		}})
	}
	victim("environ", "the environment", "environ")
	victim("root", "the root folder", "rootSECRET")
	victim("cwd", "the working folder", "cwd/secret")
	victim("descriptor", "an open file", "fd/3")
	add(Probe{Name: "victim-memory", What: "the memory of a process of the host's", Reads: true, Try: func(a *Aim) error { return memory(a, a.Victim) }})
	add(Probe{Name: "hosts-processes", What: "the host's processes, in the list of all", Try: func(a *Aim) error {
		dirs, err := filepath.Glob("/proc/[0-9]*")
		for _, d := range dirs {
			if b, err := os.ReadFile(d + "/cmdline"); err == nil && strings.HasSuffix(string(b), "\x001000000\x00") {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("there are %d, and none of them is the host's", len(dirs)))
	}})
	return ps
}

// anyFile is nil if there is a file below dir that the way works on. Of processes only
// the first is looked at, as the others are the attacker's own.
func anyFile(a *Aim, dir string, w way) error {
	n, last := 0, error(nil)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, unlisted error) error {
		if unlisted != nil {
			return nil //nolint:nilerr // what can't be listed is not what is looked for
		}
		if dir == "/proc" && d.IsDir() && (strings.Trim(d.Name(), "0123456789") == "" || slices.Contains([]string{"/proc/sys", "/proc/self", "/proc/thread-self", "/proc/net"}, path)) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if !a.Inside && dir != "/proc/sys" && n > 0 {
			return fs.SkipAll // outside no more is opened than shows that it works
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o222 == 0 && !a.Inside {
			return nil //nolint:nilerr // a mask is no file
		}
		n++
		if last = w(a, path); last == nil {
			return throughError(path)
		}
		return nil
	})
	var through throughError
	if errors.As(err, &through) {
		a.Found([]byte(through))
		return nil
	}
	return errors.Join(err, fmt.Errorf("%d files, the last: %w", n, last))
}

type throughError string

func (e throughError) Error() string { return string(e) }

// binfmt registers a format that nothing has, and takes it away again.
func binfmt(a *Aim) error {
	dir := "/proc/sys/fs/binfmt_misc"
	if !a.Inside {
		if err := unix.Mount("binfmt_misc", dir, "binfmt_misc", 0, ""); err != nil {
			return errors.Join(err, errAbsent)
		}
	}
	if err := os.WriteFile(dir+"/register", []byte(":breakout:M::breakout!!::/bin/true:"), 0); err != nil {
		return err
	}
	return os.WriteFile(dir+"/breakout", []byte("-1"), 0)
}

// pageFrame looks up a page of its own.
func pageFrame(*Aim) error {
	page := make([]byte, 1<<16)
	page[1<<15] = 1
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 8)
	if _, err := f.ReadAt(b, int64(uintptr(unsafe.Pointer(&page[1<<15]))/4096*8)); err != nil {
		return err
	}
	if binary.NativeEndian.Uint64(b)&(1<<55-1) == 0 {
		return errors.New("its number is not told")
	}
	return nil
}

// masks looks at what stands in the places of hidden files: a device node 1:3 in a file system that the
// attacker can't change, or nothing.
func masks(a *Aim) error {
	if !a.Inside { // a runtime that was misled: a link stands where /dev/null should
		link := filepath.Join(os.TempDir(), "null-"+a.Token)
		if err := os.Symlink("/proc/version", link); err != nil {
			return err
		}
		defer func() { _ = os.Remove(link) }()
		return masked(link)
	}
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/proc/interrupts", "/proc/sysrq-trigger", "/dev/null"} {
		if err := masked(path); err == nil {
			return nil
		}
	}
	return errors.New("all are what they should be")
}

// masked is nil if something stands there that tells something, or takes what is written.
func masked(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
		return errors.New(path + " is the null device")
	}
	return nil
}

// memory looks for the secret in what a process has written down last: its stack.
func memory(a *Aim, pid int) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) .*\[stack\]$`).FindSubmatch(maps)
	if m == nil {
		return errors.New("no stack")
	}
	var from, to int64
	_, err = fmt.Fscanf(bytes.NewReader(slices.Concat(m[1], []byte(" "), m[2])), "%x %x", &from, &to)
	if err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, min(to-from, 1<<15))
	_, err = f.ReadAt(b, to-int64(len(b)))
	a.Found(b)
	return err
}

const cgroupCategory = "Cgroups"

func cgroupProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = cgroupCategory, "cgroup-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "files", What: "a file of a cgroup, to raise one's limits", Try: filesOfGroup})
	add(Probe{Name: "v1", What: "a hierarchy of v1 and its release_agent, which the host's kernel runs as root", CVE: "CVE-2022-0492", Try: releaseAgent})
	add(Probe{Name: "v1-userns", What: "the same as root of a user and a cgroup namespace", CVE: "CVE-2022-0492", Try: func(a *Aim) error {
		if !a.Inside && hierarchyV1() == "" {
			return errAbsent
		}
		return isolated(a, unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWCGROUP, "release")
	}})
	add(Probe{Name: "v2", What: "the hierarchy of v2, and out of one's own group", Try: cgroup2})
	add(Probe{Name: "v2-userns", What: "the same as root of a user and a cgroup namespace", Try: step(unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWCGROUP, "cgroup2")})
	add(Probe{Name: "namespace", What: "a new cgroup namespace", Try: func(*Aim) error { return unix.Unshare(unix.CLONE_NEWCGROUP) }})
	add(Probe{Name: "into", What: "a process that starts in another group", Try: func(*Aim) error {
		fd, err := unix.Open("/sys/fs/cgroup", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		args := struct{ flags, pidfd, child, parent, signal, stack, size, tls, tid, tids, cgroup uint64 }{flags: 0x200000000, signal: uint64(unix.SIGCHLD), cgroup: uint64(fd)}
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno != 0 {
			return past(errno, unix.EBADF) // of v1, where a group can't be started in
		}
		if pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		_, err = unix.Wait4(int(pid), nil, 0, nil)
		return err
	}})
	add(Probe{Name: "path", What: "where on the host its group is", Try: pathOfGroup})
	return ps
}

// filesOfGroup opens what moves a process into a group.
func filesOfGroup(*Aim) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); slices.Contains(f, "cgroup") || slices.Contains(f, "cgroup2") {
			return opensForWriting(nil, filepath.Join(f[4], "cgroup.procs"))
		}
	}
	return errors.Join(err, errors.New("none is mounted"))
}

// pathOfGroup is nil if a path is told that is not the root of what can be seen.
func pathOfGroup(a *Aim) error {
	if !a.Inside { // a test's own group may be the root
		f, err := os.Open("/sys/fs/cgroup")
		if err == nil {
			err = f.Close()
		}
		return err
	}
	b, err := os.ReadFile("/proc/1/cgroup")
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(strings.TrimSpace(line), ":/") {
			return nil
		}
	}
	return errors.Join(err, errors.New("its group is the root, as far as can be seen"))
}

// hierarchyV1 is one that is there, as options of mount; "" is none.
func hierarchyV1() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 && f[1] != "" && f[1] != "name=breakout" { // which another probe makes
			return f[1]
		}
	}
	return ""
}

// releaseAgent mounts a hierarchy without a controller, which any kernel with v1 has.
func releaseAgent(*Aim) error {
	dir, err := os.MkdirTemp("", "cgroup")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }()
	err = unix.Mount("cgroup", dir, "cgroup", 0, "none,name=breakout")
	if v1 := hierarchyV1(); err != nil && v1 != "" { // a new one is the first namespace's to make
		err = unix.Mount("cgroup", dir, "cgroup", 0, v1)
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
		return err
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	return opensForWriting(nil, filepath.Join(dir, "release_agent"))
}

func cgroup2(*Aim) error {
	dir, err := os.MkdirTemp("", "cgroup")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }()
	if err := unix.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		return err
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
}
