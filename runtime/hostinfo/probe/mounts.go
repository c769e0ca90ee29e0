package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/hostinfo/thread"
)

// mounts tries each way of mounting in a mount namespace that ends with its
// thread. None is attached to the host's tree.
func mounts(ctx context.Context, dir string) hostinfo.Mounts {
	var m hostinfo.Mounts
	m.Tmpfs = hostinfo.Try(inMountNamespace(func() error {
		fd, err := newMount("tmpfs", "size", "1m")
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}))
	m.Clone = hostinfo.Try(inMountNamespace(clone))
	m.Overlay = hostinfo.Try(scratch(dir, func(tmp string) error {
		return inMountNamespace(func() error { return overlay(tmp) })
	}))
	m.IDMapped = hostinfo.Try(scratch(dir, func(tmp string) error { return idmapped(ctx, tmp) }))
	return m
}

func inMountNamespace(f func() error) error {
	return thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("new mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		return f()
	})
}

// newMount makes a detached mount with the options given as key, value, ...
func newMount(fstype string, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer func() { _ = unix.Close(fs) }()
	for i := 0; i+1 < len(options); i += 2 {
		if err := unix.FsconfigSetString(fs, options[i], options[i+1]); err != nil {
			return -1, fmt.Errorf("%s option %s: %w", fstype, options[i], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("make %s: %w", fstype, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	return fd, nil
}

// clone does what a mount block does: open_tree, mount_setattr, move_mount.
func clone() error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/usr", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, "/usr", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// overlay mounts one with its upper layer in tmp, and writes through it.
func overlay(tmp string) error {
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o700); err != nil {
			return err
		}
	}
	fd, err := newMount("overlay", "lowerdir", filepath.Join(tmp, "lower"),
		"upperdir", filepath.Join(tmp, "upper"), "workdir", filepath.Join(tmp, "work"))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Mkdirat(fd, "made", 0o700)
}

// idmapped maps this user to another on a clone of tmp, and looks at tmp through it.
func idmapped(ctx context.Context, tmp string) error {
	const inside = 12345
	userns, stop, err := userNamespace(ctx, inside)
	if err != nil {
		return err
	}
	defer stop()
	return inMountNamespace(func() error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, tmp, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open_tree: %w", err)
		}
		defer func() { _ = unix.Close(fd) }()
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return fmt.Errorf("map ids on %s: %w", filepath.Dir(tmp), err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if st.Uid != inside {
			return fmt.Errorf("an idmapped file belongs to %d instead of %d", st.Uid, inside)
		}
		return nil
	})
}

// userNamespace returns one in which this user's files are mapped to host. A
// child that waits for its input keeps it until the descriptor is open.
func userNamespace(ctx context.Context, host int) (*os.File, func(), error) {
	cmd := exec.CommandContext(ctx, "/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: host, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: host, Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("new user namespace: %w", err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	err = errors.Join(err, in.Close(), cmd.Wait())
	if err != nil {
		return nil, nil, fmt.Errorf("new user namespace: %w: %s", err, said.Bytes())
	}
	return f, func() { _ = f.Close() }, nil
}
