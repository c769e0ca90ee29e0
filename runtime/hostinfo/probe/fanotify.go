package probe

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
)

// fanotify asks for permission events on a mount that nobody else can reach.
func fanotify(context.Context) hostinfo.Outcome {
	return hostinfo.Try(inMountNamespace(func() error {
		mount, err := newMount("tmpfs")
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(mount) }()
		fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY)
		if err != nil {
			return fmt.Errorf("fanotify_init: %w", err)
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, unix.FAN_OPEN_PERM, mount, "."); err != nil {
			return fmt.Errorf("fanotify_mark: %w", err)
		}
		return nil
	}))
}
