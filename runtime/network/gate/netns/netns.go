// Package netns makes, enters and checks the network namespaces of sandboxes.
//
// Such a namespace belongs to the daemon's user namespace, not to the sandbox's,
// so no capability that a sandbox can gain is worth anything in it. It has no
// interface but lo. All that gets out does so through sockets that the daemon
// holds inside, and that work stops when the daemon does.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrNone is a path at which no network namespace is pinned.
var ErrNone = errors.New("no network namespace is pinned")

// Do runs f on a thread inside ns. Sockets that f makes stay in ns for their
// life. f must not start goroutines that do: they run on other threads.
func Do(ns *os.File, f func() error) error {
	return onThread(func() error { return join(ns) }, f)
}

// join takes the thread into ns, as long as that is open: a number that was closed may
// be another namespace's by the time it is used.
func join(ns *os.File) error {
	raw, err := ns.SyscallConn()
	if err != nil {
		return err
	}
	var joined error
	if err := raw.Control(func(fd uintptr) { joined = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
		return err
	}
	return joined
}

// onThread runs f on a thread that enter took to another namespace.
func onThread(enter, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer func() { _ = home.Close() }()
		if err := enter(); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = f()
		// A thread that can't come home stays locked and ends with its goroutine.
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Open opens the namespace pinned at path, or says ErrNone.
func Open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	// ioctl_ns(2); a file that is not a namespace answers ENOTTY.
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		_ = f.Close()
		return nil, ErrNone
	}
	return f, nil
}

func unshare() error { return unix.Unshare(unix.CLONE_NEWNET) }

// Create pins a new, empty network namespace at path, which must not be one yet.
func Create(path string) error {
	if err := mountPoint(path); err != nil {
		return fmt.Errorf("pin network namespace: %w", err)
	}
	return onThread(unshare, func() error { return bind("/proc/thread-self/ns/net", path) })
}

// Unpinned makes a new, empty network namespace that ends with its descriptor, and so
// with this process however that ends.
func Unpinned() (ns *os.File, err error) {
	err = onThread(unshare, func() error {
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return ns, nil
}

// Move pins the namespace of from at to, and unpins it at from. In between it
// is pinned at both.
func Move(from, to string) error {
	if err := mountPoint(to); err != nil {
		return fmt.Errorf("pin network namespace: %w", err)
	}
	if err := bind(from, to); err != nil {
		return err
	}
	return Unpin(from)
}

// Unpin removes whatever is at path. The namespace lives on for as long as a
// process or a socket is in it.
func Unpin(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // no mount (left) here
		}
		if err != nil {
			return fmt.Errorf("unpin network namespace: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unpin network namespace: %w", err)
	}
	return nil
}

func mountPoint(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("pin network namespace: %w", err)
	}
	return nil
}

// ID identifies a namespace for as long as it exists.
func ID(ns *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return "", fmt.Errorf("stat network namespace: %w", err)
	}
	return fmt.Sprintf("net:[%d]", st.Ino), nil
}
