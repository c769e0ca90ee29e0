//go:build linux

package mountns

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Inside is a View that can also change mounts: it has a thread in the mount
// namespace of the process.
type Inside struct {
	*View
	jobs chan func()
}

// Enter opens a running process's mount namespace to work in it.
func Enter(pid int) (*Inside, error) {
	v, err := Look(pid)
	if err != nil {
		return nil, err
	}
	in := &Inside{v, make(chan func())}
	ready := make(chan error)
	go OnOwnThread(func() { in.serve(ready) })
	if err := <-ready; err != nil {
		_ = v.Close()
		return nil, fmt.Errorf("enter sandbox: %w", err)
	}
	return in, nil
}

// Close ends the thread.
func (in *Inside) Close() error {
	close(in.jobs)
	return in.View.Close()
}

// serve enters the namespace and works there until Close.
func (in *Inside) serve(ready chan<- error) {
	err := enter(in.pid)
	ready <- err
	if err != nil {
		return
	}
	for job := range in.jobs {
		job()
	}
}

// enter takes this thread into the mount namespace of a process. Its working
// folder becomes the host's /proc, for Detach.
func enter(pid int) error {
	ns, err := os.Open(proc(pid, "ns/mnt"))
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	hostProc, err := os.OpenFile("/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = hostProc.Close() }()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	return unix.Fchdir(int(hostProc.Fd()))
}

// do runs f on the thread inside.
func (in *Inside) do(f func() error) error {
	done := make(chan error)
	in.jobs <- func() { done <- f() }
	return <-done
}

// CloneInside makes a detached copy of the mount that f lies on, with f as its
// root, and sets attributes on it. What the copied mount has (idmap, ro) it has.
func (in *Inside) CloneInside(f *os.File, a Attr) (m *os.File, err error) {
	err = in.do(func() error {
		m, err = Clone(f, a)
		return err
	})
	return m, err
}

// Attach mounts the detached mount m on the place at.
func (in *Inside) Attach(m, at *os.File) error {
	return in.do(func() error {
		const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
		if err := unix.MoveMount(int(m.Fd()), "", int(at.Fd()), "", flags); err != nil {
			return fmt.Errorf("attach mount: %w", err)
		}
		return nil
	})
}

// Detach takes away the mount whose root is f, with all that is mounted below
// it. A file that a command has open stays open. It is no error if the mount is
// not there any more.
func (in *Inside) Detach(f *os.File) error {
	return in.do(func() error {
		// umount2(2) knows paths only. This one, in the host's procfs, which is
		// the working folder of this thread, leads to the descriptor and nowhere else.
		err := unix.Unmount("thread-self/fd/"+strconv.Itoa(int(f.Fd())), unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("detach mount: %w", err)
		}
		return nil
	})
}

// AttachBeneath mounts m between the mount whose root is at and what that is
// mounted on, so that m shows when that one goes, without a moment in between.
// Kernels before 6.5 can't: EINVAL.
func (in *Inside) AttachBeneath(m, at *os.File) error {
	return in.do(func() error {
		const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH | moveMountBeneath
		if err := unix.MoveMount(int(m.Fd()), "", int(at.Fd()), "", flags); err != nil {
			return fmt.Errorf("attach mount beneath: %w", err)
		}
		return nil
	})
}

// moveMountBeneath is MOVE_MOUNT_BENEATH of linux/mount.h, which package unix
// doesn't have.
const moveMountBeneath = 0x200

// SetAttr changes options of the mount whose root is f, while it is in use.
// Taking away writing fails with EBUSY while a file is open for it.
func (in *Inside) SetAttr(f *os.File, set, clear uint64) error {
	return in.do(func() error {
		attr := unix.MountAttr{Attr_set: set, Attr_clr: clear}
		if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return fmt.Errorf("set mount attributes: %w", err)
		}
		return nil
	})
}
