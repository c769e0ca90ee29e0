package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
)

// loop formats an image in dir and mounts it, detached. The loop device lets go
// of the image by itself when the last descriptor closes.
func loop(ctx context.Context, dir string) hostinfo.Outcome {
	return hostinfo.Try(scratch(dir, func(tmp string) error {
		image, err := os.OpenFile(filepath.Join(tmp, "image"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = image.Close() }()
		if err := image.Truncate(4 << 20); err != nil {
			return err
		}
		mkfs, err := exec.LookPath("mkfs.ext4")
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, mkfs, "-q", "-O", "^has_journal", image.Name()).CombinedOutput(); err != nil {
			return fmt.Errorf("mkfs.ext4: %w: %.200s", err, out)
		}
		device, err := attach(image)
		if err != nil {
			return err
		}
		defer func() { _ = device.Close() }()
		return inMountNamespace(func() error {
			fd, err := newMount("ext4", "source", device.Name())
			if err != nil {
				return err
			}
			return unix.Close(fd)
		})
	}))
}

// attempts bounds how often another process may take the free device first.
const attempts = 10

// attach binds image to a free loop device, for as long as it is open.
func attach(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }()
	for range attempts {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach %s: %w", device.Name(), err)
		}
	}
	return nil, errors.New("every free loop device was taken by others")
}
