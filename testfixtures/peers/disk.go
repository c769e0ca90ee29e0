package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A disk is a small ext4 file system in a file, all of which root may fill.
type disk struct{ path string }

const diskSize = 48 << 20

func newDisk(dir string) (*disk, error) {
	image, d := filepath.Join(dir, "disk.img"), &disk{filepath.Join(dir, "disk")}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Truncate(image, diskSize), os.Mkdir(d.path, 0o755)); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, d.path}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return d, nil
}

// fill takes what is free, to the last block.
func (d *disk) fill() error {
	f, err := os.OpenFile(filepath.Join(d.path, "filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{1 << 20, 1 << 10} {
		for {
			_, err := f.Write(make([]byte, size))
			if errors.Is(err, unix.ENOSPC) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *disk) free() error { return os.Remove(filepath.Join(d.path, "filler")) }

func (d *disk) close() error {
	if out, err := exec.Command("umount", d.path).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w\n%s", d.path, err, out)
	}
	return nil
}
