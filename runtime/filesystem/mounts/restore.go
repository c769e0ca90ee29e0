//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
	"blast.example/blast/state/snapshot/layer"
)

// content finds what a layer is made from in the project's store. The caller closes
// that.
func content(env state.Env, t filesystem.Tree) (snapshot.Layer, *snapshot.Store, error) {
	if t.Layer.Content == "" {
		return snapshot.Layer{}, nil, errors.New("nobody recorded what it was made from")
	}
	s, err := snapshot.Open(env.Project)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: all were removed", snapshot.ErrNone)
	}
	if err != nil {
		return snapshot.Layer{}, nil, err
	}
	l, err := s.Layer(digest.Digest(t.Layer.Content))
	if err != nil {
		_ = s.Close()
	}
	return l, s, err
}

// restore fills an image that was just made with the files of a snapshot. Nobody but
// this process can reach them meanwhile. All belong to the person.
func restore(ctx context.Context, env state.Env, t filesystem.Tree, image *os.File) error {
	l, s, err := content(env, t)
	if err != nil {
		return fmt.Errorf("restore layer: %w", err)
	}
	defer func() { _ = s.Close() }()
	m, err := mountImage(image, 0)
	if err != nil {
		return fmt.Errorf("restore layer: %w", err)
	}
	err = unpackInto(ctx, env, s, l, m, image)
	if err := errors.Join(err, m.Close(), letGo(ctx, image)); err != nil {
		return fmt.Errorf("restore layer from snapshot %s: %w", t.Layer.Snapshot, err)
	}
	return image.Sync()
}

func unpackInto(ctx context.Context, env state.Env, s *snapshot.Store, l snapshot.Layer, m, image *os.File) error {
	fd, err := unix.Openat(int(m.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // m is for its path only
	if err != nil {
		return err
	}
	root := os.NewFile(uintptr(fd), "layer")
	defer func() { _ = root.Close() }()
	told := func(n int64) {
		kinds.Progress(ctx, fmt.Sprintf("unpacking the writable layer, %d of %d MiB", n>>20, l.Bytes>>20))
	}
	err = s.Read(ctx, l, told, func(ctx context.Context, src layer.Source) (layer.Stats, error) {
		return layer.Unpack(ctx, src, root, layer.Owner{UID: env.UID, GID: env.GID})
	})
	if err == nil {
		err = markLoaded(root, time.Now().UnixNano())
	}
	if err == nil {
		err = unix.Syncfs(int(root.Fd())) // what the disk below has no room for is told here
	}
	return noRoom(root, image, err)
}

// noRoom says whether it is the layer that is full, or the disk below it: that is
// an error of the device's (EIO) to who writes to the layer.
func noRoom(root, image *os.File, err error) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) {
		return err
	}
	if image == nil {
		// in memory: there is no disk
	} else if _, full := filled(image); full {
		return fmt.Errorf("%w: the disk of the state folder is full", err)
	}
	if size, full := filled(root); full {
		return fmt.Errorf("%w: a layer of %s has no room for these files: load it with a larger size", err, block.FormatSize(size))
	}
	return err
}

// filled reports whether less than a twentieth of a file system is free, and how large
// it is, in bytes.
func filled(f *os.File) (size int64, full bool) {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return 0, false
	}
	return int64(st.Blocks) * st.Bsize, st.Bavail < st.Blocks/20 || st.Files > 0 && st.Ffree == 0
}

// letGo waits until the loop device of an image that was unmounted is gone, which
// the kernel sees to a little later: who mounts the image next must not find it.
func letGo(ctx context.Context, image *os.File) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoTime)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		device, used, err := loopOf(image)
		if err != nil || !used {
			return err
		}
		_ = device.Close()
		select {
		case <-ctx.Done():
			return fmt.Errorf("the loop device of a layer that nobody uses stays: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

const letGoTime = 10 * time.Second
