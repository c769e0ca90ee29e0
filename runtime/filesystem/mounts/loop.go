//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// loop finds the loop device that has the image in a slot, by the identity
// of the file and not by its name, and reports whether there is one. The caller
// closes it; as long as it is open it stays.
func (x images) loop(s slot) (*os.File, bool, error) {
	image, err := x.open(s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = image.Close() }()
	return loopOf(image)
}

func loopOf(image *os.File) (*os.File, bool, error) {
	st, err := mountns.Stat(image)
	if err != nil {
		return nil, false, fmt.Errorf("find loop device: %w", err)
	}
	used, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return nil, false, fmt.Errorf("find loop device: %w", err)
	}
	for _, dir := range used {
		device, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(dir)), os.O_RDWR, 0)
		if err != nil {
			continue // let go of meanwhile
		}
		info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		if err == nil && info.Device == st.Dev && info.Inode == st.Ino {
			return device, true, nil
		}
		_ = device.Close()
	}
	return nil, false, nil
}

// loopAttempts bounds how often another process may take the free device first.
const loopAttempts = 20

// attachLoop returns the loop device of an image. There is never a second one:
// two file systems on one image would ruin it. The flags are LO_FLAGS_READ_ONLY or none.
func attachLoop(image *os.File, flags uint32) (*os.File, error) {
	if device, ok, err := loopOf(image); ok || err != nil {
		return device, err
	}
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("attach layer: %w", err)
	}
	defer func() { _ = control.Close() }()
	for range loopAttempts {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("attach layer: find a free loop device: %w", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("attach layer: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | flags
		copy(config.Info.File_name[:], image.Name())
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach layer to %s: %w", device.Name(), err)
		}
	}
	return nil, errors.New("attach layer: every free loop device was taken by others")
}

// mountImage makes a detached mount of the whole layer in an image, which nobody but
// this process can reach. A second one shows the same file system. The flags are those
// of attachLoop.
func mountImage(image *os.File, flags uint32) (*os.File, error) {
	device, err := attachLoop(image, flags)
	if err != nil {
		return nil, err
	}
	defer func() { _ = device.Close() }() // the mount holds it
	fs, err := unix.Fsopen(layerType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount layer: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", device.Name()); err != nil {
		return nil, fmt.Errorf("mount layer: %w", err)
	}
	// What an image that its disk had no room for lacks must not be made worse.
	if err := unix.FsconfigSetString(fs, "errors", "remount-ro"); err != nil {
		return nil, fmt.Errorf("mount layer: %w", err)
	}
	attrs := always
	if flags&unix.LO_FLAGS_READ_ONLY != 0 {
		attrs |= unix.MOUNT_ATTR_RDONLY
		if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
			return nil, fmt.Errorf("mount layer: %w", err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("mount layer: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("mount layer: %w", err)
	}
	return os.NewFile(uintptr(fd), "layer"), nil
}

// shown says how mountinfo shows a mount of an image.
func (x images) shown(s slot) (device, kind string, err error) {
	loop, ok, err := x.loop(s)
	if !ok || err != nil {
		return "", "", err
	}
	defer func() { _ = loop.Close() }()
	dev, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(loop.Name()), "dev"))
	if err != nil {
		return "", "", fmt.Errorf("read loop device: %w", err)
	}
	return strings.TrimSpace(string(dev)), layerType, nil
}

// loopControl is where the kernel gives out loop devices, loop(4).
var loopControl = "/dev/loop-control"
