//go:build linux

package sandbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

// attemptName is the name under which the test program is run inside.
const attemptName = "attempt"

// An attempt is something that a sandbox must refuse, and something of the same
// kind that it must allow: without the control, a test would also pass if the
// attempt was wrong in itself.
type try struct {
	attack  func() error
	control func() error
	errs    []error // how it may be refused; none is any error
}

// attempt is what runs inside: attempt NAME attack|control.
func attempt(args []string) int {
	tr, ok := tries[args[0]]
	if !ok {
		fmt.Println("no such attempt")
		return 2
	}
	f := tr.attack
	if args[1] == "control" {
		f = tr.control
	}
	err := f()
	if err == nil {
		return 0
	}
	fmt.Print(err)
	if args[1] == "attack" && len(tr.errs) > 0 && !slices.ContainsFunc(tr.errs, func(e error) bool { return errors.Is(err, e) }) {
		return 3
	}
	return 1
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return nil
}

func str(s string) uintptr {
	p, _ := unix.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(p))
}

func write(path string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("1")
		return errors.Join(err, f.Close())
	}
}

func read(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

func list(path string) func() error {
	return func() error { _, err := os.ReadDir(path); return err }
}

// unmasked does f to path, unless /dev/null stands in its place.
func unmasked(path string, f func(string) func() error) func() error {
	return func() error {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err == nil && st.Rdev == unix.Mkdev(1, 3) {
			return errors.New("masked")
		}
		return f(path)()
	}
}

// onFile calls f with a new file's path and descriptor.
func onFile(f func(path string, fd int) error) func() error {
	return func() error {
		file, err := os.CreateTemp("/tmp", "")
		if err != nil {
			return err
		}
		defer func() { _ = file.Close(); _ = os.Remove(file.Name()) }()
		return f(file.Name(), int(file.Fd()))
	}
}

// onChild calls f with a process of the same user.
func onChild(f func(pid int) error) func() error {
	return func() error {
		cmd := exec.Command("/bin/sleep", "60")
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		return f(cmd.Process.Pid)
	}
}

func socket(domain, typ, proto int) func() error {
	return func() error {
		fd, err := unix.Socket(domain, typ, proto)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
}

func attach(pid int) error {
	if err := unix.PtraceSeize(pid); err != nil {
		return err
	}
	return nil
}

// readMem reads a page of a process by number.
func readMem(pid int) error {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return io.EOF
	}
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil {
		return err
	}
	return f.Close()
}

func getpid() error { return call(unix.SYS_GETPID) }

// namespaces that a command must not make.
const newNamespaces = unix.CLONE_NEWUSER

func cloneWith(flags uintptr) func() error {
	return func() error {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		var ws unix.WaitStatus
		_, err := unix.Wait4(int(pid), &ws, 0, nil)
		return err
	}
}

// onTerminal calls ioctl with a terminal.
func onTerminal(f func(fd int) error) func() error {
	return func() error {
		fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		if err != nil {
			return err
		}
		slave, err := unix.Open("/dev/pts/"+strconv.Itoa(int(n)), unix.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		return f(slave)
	}
}

func size(fd int) error { _, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); return err }

const suid = 0o4755

var eperm = []error{unix.EPERM, unix.EACCES, unix.EROFS, unix.ENOSYS}

var tries = map[string]try{
	"write /proc/sys":          {write("/proc/sys/kernel/core_pattern"), write("/proc/self/comm"), eperm},
	"write sysctl of the net":  {write("/proc/sys/net/ipv4/ip_forward"), write("/proc/self/comm"), eperm},
	"write sysrq-trigger":      {unmasked("/proc/sysrq-trigger", write), write("/proc/self/comm"), nil},
	"read kcore":               {unmasked("/proc/kcore", read), read("/proc/uptime"), nil},
	"read keys":                {unmasked("/proc/keys", read), read("/proc/uptime"), nil},
	"read kallsyms":            {unmasked("/proc/kallsyms", read), read("/proc/uptime"), nil},
	"write own oom score down": {func() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) }, read("/proc/self/oom_score_adj"), eperm},
	"write /sys":               {write("/sys/x"), list("/sys"), eperm},
	"write /usr":               {write("/usr/bin/x"), write("/tmp/x"), eperm},
	"write /etc":               {write("/etc/hosts"), read("/etc/hosts"), eperm},
	"write /":                  {write("/x"), write("/tmp/x"), eperm},
	"write /dev":               {write("/dev/x"), write("/dev/shm/x"), eperm},
	"write /venv":              {write("/venv/attempt"), list("/venv"), eperm},
	"write the init program":   {write("/.blast-init"), write("/dev/null"), eperm},
	"read the init program":    {read("/.blast-init"), read("/bin/true"), eperm},
	"chmod what is the host's": {func() error { return os.Chmod("/usr/bin/true", 0o777) }, onFile(func(p string, _ int) error { return os.Chmod(p, 0o600) }), eperm},

	"read shadow":      {read("/etc/shadow"), read("/etc/passwd"), nil},
	"list root's home": {list("/root"), list("/home/sandbox"), nil},
	"list /var/lib":    {list("/var/lib"), list("/var"), nil},
	"list /srv":        {list("/srv"), list("/usr"), nil},
	"list /opt":        {list("/opt"), list("/usr"), nil},
	"list /run/blast":  {list("/run/blast"), list("/run"), nil},
	"list cgroups":     {list("/sys/fs/cgroup"), list("/sys"), nil},
	"read a disk":      {read("/dev/vda"), func() error { f, err := os.Open("/dev/zero"); _ = f.Close(); return err }, nil},

	"mount":            {func() error { return unix.Mount("x", "/tmp", "tmpfs", 0, "") }, getpid, eperm},
	"bind mount":       {func() error { return unix.Mount("/usr", "/tmp", "", unix.MS_BIND, "") }, getpid, eperm},
	"remount rw":       {func() error { return unix.Mount("", "/usr", "", unix.MS_REMOUNT|unix.MS_BIND, "") }, getpid, eperm},
	"unmount":          {func() error { return unix.Unmount("/proc/keys", unix.MNT_DETACH) }, getpid, eperm},
	"open_tree":        {func() error { return call(unix.SYS_OPEN_TREE, ^uintptr(99), str("/"), 1) }, getpid, eperm},
	"fsopen":           {func() error { return call(unix.SYS_FSOPEN, str("tmpfs"), 0) }, getpid, eperm},
	"pivot_root":       {func() error { return unix.PivotRoot("/tmp", "/tmp") }, getpid, eperm},
	"chroot":           {func() error { return unix.Chroot("/tmp") }, func() error { return os.Chdir("/tmp") }, eperm},
	"unshare user":     {func() error { return unix.Unshare(unix.CLONE_NEWUSER) }, getpid, eperm},
	"unshare mount":    {func() error { return unix.Unshare(unix.CLONE_NEWNS) }, getpid, eperm},
	"clone user":       {cloneWith(newNamespaces), cloneWith(0), eperm},
	"clone user + net": {cloneWith(unix.CLONE_NEWUSER | unix.CLONE_NEWNET), cloneWith(0), eperm},
	"clone3": {func() error {
		var a [11]uint64
		a[0] = unix.CLONE_NEWUSER
		return call(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&a)), 88)
	}, cloneWith(0), []error{unix.ENOSYS}},
	"setns": {func() error {
		fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return unix.Setns(fd, 0)
	}, read("/proc/self/mountinfo"), eperm},

	"ptrace init":           {func() error { return attach(1) }, onChild(attach), eperm},
	"read init's memory":    {func() error { return readMem(1) }, onChild(readMem), eperm},
	"list init's files":     {list("/proc/1/fd"), list("/proc/self/fd"), eperm},
	"init's root":           {list("/proc/1/root/"), list("/proc/self/root/"), eperm},
	"init's working folder": {list("/proc/1/cwd/"), list("/proc/self/cwd/"), eperm},
	"init's environment":    {read("/proc/1/environ"), read("/proc/self/environ"), eperm},
	"take init's socket": {func() error {
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			return err
		}
		return call(unix.SYS_PIDFD_GETFD, uintptr(fd), 3, 0)
	}, func() error { fd, err := unix.PidfdOpen(1, 0); _ = unix.Close(fd); return err }, eperm},
	"limits of init": {func() error { return unix.Prlimit(1, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}, nil) }, func() error { var l unix.Rlimit; return unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &l) }, nil},

	"mknod of a disk":    {func() error { return unix.Mknod("/tmp/disk", unix.S_IFBLK|0o600, 254<<8) }, func() error { return unix.Mknod("/tmp/fifo", unix.S_IFIFO|0o600, 0) }, eperm},
	"become root":        {func() error { return unix.Setresuid(0, 0, 0) }, func() error { return unix.Setresuid(-1, -1, -1) }, nil},
	"change groups":      {func() error { return unix.Setgroups([]int{0}) }, func() error { _, err := unix.Getgroups(); return err }, nil},
	"raise a hard limit": {raiseLimit, func() error { return unix.Setrlimit(unix.RLIMIT_LOCKS, &unix.Rlimit{}) }, eperm},
	"chown away":         {onFile(func(p string, _ int) error { return os.Chown(p, 0, 0) }), onFile(func(p string, _ int) error { return os.Chown(p, -1, -1) }), eperm},
	"file capability":    {onFile(func(p string, _ int) error { return unix.Setxattr(p, "security.capability", make([]byte, 20), 0) }), getpid, nil},

	"preallocate much": {onFile(func(_ string, fd int) error { return unix.Fallocate(fd, 0, 0, 1<<30) }), onFile(func(_ string, fd int) error { return unix.Fallocate(fd, 0, 0, 1<<20) }), []error{unix.EOPNOTSUPP}},
	"preallocate behind the end": {
		onFile(func(_ string, fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 1<<30) }),
		onFile(func(_ string, fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 1<<40)
		}), []error{unix.EOPNOTSUPP},
	},
	"zero much": {onFile(func(_ string, fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 0, 1<<30) }), getpid, []error{unix.EOPNOTSUPP}},

	"chmod u+s":     {onFile(func(p string, _ int) error { return call(unix.SYS_CHMOD, str(p), suid) }), onFile(func(p string, _ int) error { return call(unix.SYS_CHMOD, str(p), 0o755) }), eperm},
	"chmod g+s":     {onFile(func(p string, _ int) error { return call(unix.SYS_CHMOD, str(p), 0o2755) }), onFile(func(p string, _ int) error { return call(unix.SYS_CHMOD, str(p), 0o1755) }), eperm},
	"fchmod u+s":    {onFile(func(_ string, fd int) error { return call(unix.SYS_FCHMOD, uintptr(fd), suid) }), onFile(func(_ string, fd int) error { return call(unix.SYS_FCHMOD, uintptr(fd), 0o755) }), eperm},
	"fchmodat u+s":  {onFile(func(p string, _ int) error { return call(unix.SYS_FCHMODAT, ^uintptr(99), str(p), suid) }), onFile(func(p string, _ int) error { return call(unix.SYS_FCHMODAT, ^uintptr(99), str(p), 0o755) }), eperm},
	"fchmodat2 u+s": {onFile(func(p string, _ int) error { return call(unix.SYS_FCHMODAT2, ^uintptr(99), str(p), suid, 0) }), getpid, eperm},
	"creat u+s":     {func() error { return call(unix.SYS_CREAT, str("/tmp/creat"), suid) }, func() error { return call(unix.SYS_CREAT, str("/tmp/creat"), 0o755) }, eperm},
	"open u+s":      {func() error { return call(unix.SYS_OPEN, str("/tmp/open"), unix.O_CREAT|unix.O_WRONLY, suid) }, func() error { return call(unix.SYS_OPEN, str("/tmp/open"), unix.O_CREAT|unix.O_WRONLY, 0o755) }, eperm},
	// Without O_CREAT the mode is whatever was in the register.
	"openat u+s":    {func() error { return call(unix.SYS_OPENAT, 0, str("/tmp/openat"), unix.O_CREAT|unix.O_WRONLY, suid) }, func() error { return call(unix.SYS_OPENAT, 0, str("/dev/null"), unix.O_WRONLY, ^uintptr(0)) }, eperm},
	"O_TMPFILE u+s": {func() error { return call(unix.SYS_OPENAT, 0, str("/tmp"), unix.O_TMPFILE|unix.O_WRONLY, suid) }, func() error { return call(unix.SYS_OPENAT, 0, str("/tmp"), unix.O_TMPFILE|unix.O_WRONLY, 0o600) }, eperm},
	"openat2 u+s": {func() error {
		how := unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY, Mode: suid}
		_, err := unix.Openat2(unix.AT_FDCWD, "/tmp/openat2", &how)
		return err
	}, getpid, []error{unix.ENOSYS}},
	"mknod u+s": {func() error { return unix.Mknod("/tmp/mknod", unix.S_IFREG|suid, 0) }, func() error { return unix.Mknod("/tmp/mknod", unix.S_IFREG|0o755, 0) }, eperm},

	"TIOCSTI": {onTerminal(func(fd int) error {
		b := byte('x')
		return call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
	}), onTerminal(size), []error{unix.EPERM}},
	"TIOCSTI with a high bit": {onTerminal(func(fd int) error {
		b := byte('x')
		return call(unix.SYS_IOCTL, uintptr(fd), 1<<32|unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
	}), onTerminal(size), []error{unix.EPERM}},
	"TIOCLINUX": {onTerminal(func(fd int) error {
		b := byte(2)
		return call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCLINUX, uintptr(unsafe.Pointer(&b)))
	}), onTerminal(size), []error{unix.EPERM}},

	"packet socket":        {socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0), socket(unix.AF_UNIX, unix.SOCK_STREAM, 0), eperm},
	"vsock":                {socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0), socket(unix.AF_INET, unix.SOCK_STREAM, 0), eperm},
	"kernel crypto socket": {socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), socket(unix.AF_INET6, unix.SOCK_STREAM, 0), eperm},
	"raw socket":           {socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), socket(unix.AF_INET, unix.SOCK_DGRAM, 0), eperm},
	"netfilter netlink":    {socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), eperm},
	"socket with high bit": {func() error { return call(unix.SYS_SOCKET, 1<<32|unix.AF_PACKET, unix.SOCK_DGRAM, 0) }, socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0), eperm},

	"io_uring":        {func() error { var p [128]byte; return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p))) }, getpid, eperm},
	"keyctl":          {func() error { return call(unix.SYS_KEYCTL, 0, ^uintptr(2), 0) }, getpid, eperm},
	"add_key":         {func() error { return call(unix.SYS_ADD_KEY, str("user"), str("x"), str("y"), 1, ^uintptr(2)) }, getpid, eperm},
	"bpf":             {func() error { var a [16]uint64; return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&a)), 128) }, getpid, eperm},
	"perf":            {func() error { return call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0) }, getpid, eperm},
	"userfaultfd":     {func() error { return call(unix.SYS_USERFAULTFD, 1) }, getpid, eperm},
	"open by handle":  {func() error { return call(unix.SYS_OPEN_BY_HANDLE_AT, 3, 0, 0) }, getpid, eperm},
	"kernel module":   {func() error { return call(unix.SYS_INIT_MODULE, 0, 0, 0) }, getpid, eperm},
	"reboot":          {func() error { return call(unix.SYS_REBOOT, 0xfee1dead, 672274793, 0) }, getpid, eperm},
	"mark packets":    {func() error { return markSocket(unix.SO_MARK) }, func() error { return markSocket(unix.SO_PRIORITY) }, eperm},
	"set the clock":   {func() error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{}) }, func() error { var ts unix.Timespec; return unix.ClockGettime(unix.CLOCK_REALTIME, &ts) }, eperm},
	"kernel's log":    {func() error { _, err := unix.Klogctl(3, make([]byte, 16)); return err }, getpid, eperm},
	"host name":       {func() error { return unix.Sethostname([]byte("x")) }, func() error { _, err := os.Hostname(); return err }, eperm},
	"unknown call":    {func() error { return call(1000) }, getpid, []error{unix.ENOSYS}},
	"32-bit program":  {run32, runSelf, nil},
	"setuid program":  {runSU, runSelf, nil},
	"x32 system call": {func() error { return inChild(func() { _ = call(0x40000000 | unix.SYS_GETPID) }) }, func() error { return inChild(func() { _ = getpid() }) }, nil},
}

// raiseLimit raises a hard limit; which one is none already depends on the machine.
func raiseLimit() error {
	for _, which := range []int{unix.RLIMIT_MEMLOCK, unix.RLIMIT_NOFILE, unix.RLIMIT_MSGQUEUE} {
		var l unix.Rlimit
		if err := unix.Getrlimit(which, &l); err == nil && l.Max < unix.RLIM_INFINITY {
			return unix.Setrlimit(which, &unix.Rlimit{Cur: l.Cur, Max: l.Max + 1})
		}
	}
	return nil // says that the attempt itself is broken
}

// markSocket sets an option of a socket to a small number.
func markSocket(option int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1)
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

// elf32 is a 32-bit program for i386 that ends with status 0: one page, its code
// is mov $1, %eax; xor %ebx, %ebx; int $0x80.
var elf32 = append([]byte{
	0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0,
	0x54, 0x80, 0x04, 0x08, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0,
	1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, 0x5d, 0, 0, 0, 0x5d, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
}, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80)

func run32() error {
	if err := os.WriteFile("/tmp/elf32", elf32, 0o755); err != nil {
		return nil //nolint:nilerr // says that the attempt itself is broken
	}
	return exec.Command("/tmp/elf32").Run()
}

func runSelf() error { return exec.Command("/bin/true").Run() }

// runSU succeeds if a setuid program of the host gives its owner's rights.
func runSU() error {
	if os.Geteuid() == 0 {
		return nil
	}
	b, err := exec.Command("/usr/bin/passwd", "--status", "root").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, b)
	}
	return nil
}

func TestEscapes(t *testing.T) {
	env := sandboxtest.Env(t)
	s := withAttempts(t, env)
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		if code, out := output(t, s, "/venv/attempt", name, "control"); code != 0 {
			t.Errorf("%s: the control fails: %d %s", name, code, out)
		}
		if code, out := output(t, s, "/venv/attempt", name, "attack"); code != 1 {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
	if err := s.Running(t.Context()); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// What the filters and the missing rights refuse inside must work outside:
// otherwise the attempt would prove nothing.
func TestEscapesWorkOutside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the attempts are made as root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"mount", "clone user", "mknod of a disk", "packet socket", "netfilter netlink", "raw socket",
		"chmod u+s", "chmod g+s", "fchmod u+s", "fchmodat u+s", "creat u+s", "open u+s", "openat u+s", "openat2 u+s", "mknod u+s",
		"bind mount", "fsopen", "read shadow", "list root's home", "32-bit program", "chown away", "host name",
	} {
		cmd := exec.Command(self, name, "attack")
		cmd.Args[0] = attemptName
		// In namespaces of its own, so that nothing of it stays.
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
		switch out, err := cmd.CombinedOutput(); {
		case err != nil && name == "32-bit program" && bytes.Contains(out, []byte(syscall.ENOEXEC.Error())):
			t.Log("this kernel runs no 32-bit programs at all")
		case err != nil:
			t.Errorf("%s fails outside, too: %v %s", name, err, out)
		}
	}
	for _, f := range []string{"creat", "open", "openat", "openat2", "mknod", "disk", "elf32"} {
		_ = os.Remove("/tmp/" + f)
	}
}

// withAttempts starts a sandbox that has the test program at /venv/attempt.
func withAttempts(t *testing.T, env state.Env, change ...func(*sandbox.Spec)) *sandbox.Sandbox {
	t.Helper()
	spec := sandboxtest.Spec(t, env)
	for _, c := range change {
		c(&spec)
	}
	spec.Packages = filepath.Join(env.Dir, "packages")
	if err := os.MkdirAll(spec.Packages, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spec.Packages, attemptName), self, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// No signal that a command can send reaches init; the same ones do end a process
// that has asked for nothing.
func TestSignalsToInit(t *testing.T) {
	s := withAttempts(t, sandboxtest.Env(t))
	code, out := output(t, s, "python3", "-c", `
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
ended = 0
for sig in range(1, 65):
    os.kill(1, sig)
    libc.sigqueue(1, sig, ctypes.c_void_p(1))      # si_code says it came from no kill(2)
    libc.syscall(234, 1, 1, sig)                   # tgkill
    if sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGUSR1):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        os.kill(pid, sig)
        ended += os.waitpid(pid, 0)[1] & 127 == sig
fd = os.pidfd_open(1)
for sig in (signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP):
    signal.pidfd_send_signal(fd, sig)
try:
    os.kill(-1, signal.SIGKILL)                    # all but init and the sender
except ProcessLookupError:
    pass
print(ended)
`)
	if code != 0 || out != "6\n" {
		t.Errorf("%d %q", code, out)
	}
	// While it forks, too: a command may send before init is done with starting it.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, sig := range []string{"HUP", "INT", "TERM", "USR1", "USR2", "PIPE", "ALRM", "VTALRM", "IO", "PWR", "32", "34", "40", "SEGV", "QUIT"} {
				if code, out := output(t, s, "sh", "-c", "kill -"+sig+" 1; kill -"+sig+" 1"); code != 0 {
					t.Errorf("%s: %d %s", sig, code, out)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Running(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHostProcessesAreOutOfReach(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	victim := exec.Command("sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	pid := strconv.Itoa(victim.Process.Pid)
	if code, out := output(t, s, "kill", "-9", pid); code == 0 || !strings.Contains(out, "No such process") {
		t.Errorf("kill of a host's process: %d %s", code, out)
	}
	if code, out := output(t, s, "sh", "-c", "sleep 60 & kill -9 $!"); code != 0 {
		t.Errorf("kill of an own one: %d %s", code, out)
	}
	// Nothing but the sandbox's own processes is listed.
	code, out := output(t, s, "sh", "-c", "ls -d /proc/[0-9]*")
	if n := len(strings.Fields(out)); code != 0 || n > 4 {
		t.Errorf("%d processes seen: %s", n, out)
	}
}

// A command has its three files and no other: nothing of init, nothing of the
// daemon, nothing of libcontainer.
func TestNoDescriptorsLeak(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	for range 3 {
		code, out := output(t, s, "python3", "-c", "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))")
		if code != 0 || out != "[0, 1, 2, 3]\n" { // 3 is the listing's own
			t.Errorf("%d %q", code, out)
		}
	}
}

func TestNoSocketOfInitInside(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	code, out := output(t, s, "sh", "-c", "find / -xdev -type s 2>/dev/null; find /run /tmp /dev /var /home -type s; tail -n +2 /proc/net/unix")
	if code != 0 || out != "" {
		t.Errorf("%d %q", code, out)
	}
}

// tmpfs are bounded, in bytes and in files.
func TestWritableSpaceIsBounded(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	for dir, mb := range map[string]string{"/tmp": "65", "/dev/shm": "65"} {
		code, out := output(t, s, "dd", "if=/dev/zero", "of="+dir+"/fill", "bs=1M", "count="+mb)
		if code == 0 || !strings.Contains(out, "No space left") {
			t.Errorf("%s: %d %s", dir, code, out)
		}
		if code, out := output(t, s, "rm", dir+"/fill"); code != 0 {
			t.Error(code, out)
		}
	}
	if code, out := output(t, s, "sh", "-c", "cd /dev/shm && for i in $(seq 5000); do : > $i || exit 1; done"); code == 0 {
		t.Errorf("5000 files in /dev/shm: %s", out)
	}
}
