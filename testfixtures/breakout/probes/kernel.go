//go:build linux

package probes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call makes a system call by its number.
func call(nr uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return r, errno
	}
	return r, nil
}

// calls is an attempt that is one system call.
func calls(nr uintptr, args ...uintptr) func(*Aim) error {
	return func(*Aim) error { _, err := call(nr, args...); return err }
}

// past takes errors that come after the kernel has looked at the rights for success.
func past(err error, later ...error) error {
	for _, e := range later {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

func str(s string) uintptr {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		return 0
	}
	return uintptr(unsafe.Pointer(p))
}

// capable reports whether this process has a capability.
func capable(n int) bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	return unix.Capget(&h, &d[0]) == nil && d[n/32].Effective&(1<<(n%32)) != 0
}

const nobody = 65534

// becomeNobody gives up all rights for good.
func becomeNobody() error {
	return errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody))
}

// read reads some of a file.
func (a *Aim) read(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 1<<14))
	a.Found(b)
	if err == nil && len(b) == 0 {
		return fmt.Errorf("%s: %w", path, io.EOF)
	}
	return err
}

// A way is of doing something to a path.
type way func(a *Aim, path string) error

// rewrite writes back what is in a file of the kernel's.
func rewrite(_ *Aim, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 4096)
	n, err := f.Read(b)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b[:n], 0)
	return err
}

// opensForWriting opens a file and leaves it as it is. A program that runs is not refused, only not now.
func opensForWriting(_ *Aim, path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return past(err, unix.ETXTBSY)
	}
	return unix.Close(fd)
}

// marks leaves the token in a new file, or in one that is there.
func (a *Aim) marks(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(a.Token)
	return errors.Join(err, f.Close())
}

// onlyOn is an attempt on a path that is not masked: where /dev/null or nothing
// at all stands in its place, there is nothing to be had.
func onlyOn(path string, w way) func(*Aim) error {
	return func(a *Aim) error {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
			return errors.New(path + " is masked")
		}
		return w(a, path)
	}
}

// first is nil if one of the ways works, and says what became of the last.
func first(ways ...func() error) error {
	err := errAbsent
	for _, w := range ways {
		if err = w(); err == nil {
			return nil
		}
	}
	return err
}

// stepArg is how a step in namespaces of its own is called.
const stepArg = "step"

// isolated does a step in new namespaces, as their root where there is a user namespace among them.
func isolated(a *Aim, flags uintptr, step string) error {
	cmd := exec.Command("/proc/self/exe", stepArg, step)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	a.Found(out)
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return err
}

// step is isolated as an attempt.
func step(flags uintptr, name string) func(*Aim) error {
	return func(a *Aim) error { return isolated(a, flags, name) }
}

// Step does what isolated asked for, and prints what it found.
func Step(name string) error {
	f, ok := steps[name]
	if !ok {
		return fmt.Errorf("no step %q", name)
	}
	runtime.LockOSThread()
	a := &Aim{}
	err := f(a)
	_, _ = os.Stdout.Write(a.loot)
	return err
}
