//go:build linux

package mounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// The writable layer is a file system of a fixed size in a sparse file of the
// environment's state folder. Files are made as they fill up, and ENOSPC comes
// exactly at the size. It outlives sandboxes and reboots.
//
//	layer.img        the layer
//	layer.kept       the layer of an environment that is being destroyed: until Commit
//	layer.new        one that is being made
//
// It is mounted in sandboxes only, never on the host: when the last of them goes,
// the kernel lets go of the loop device by itself (LO_FLAGS_AUTOCLEAR).
const (
	layerImage = "layer.img"
	layerKept  = "layer.kept"
	layerNew   = "layer.new"
	layerType  = "ext4"
)

func imagePath(env state.Env) string { return filepath.Join(env.Dir, layerImage) }

// mkfsArgs make a file system in 4 ms, in a file of 200 kB: no journal, as what
// it saves is a sandbox's scratch (a layer that was not unmounted is checked);
// no room for growing while mounted; nothing kept for root; tables are written
// when they are used. See mke2fs(8).
var mkfsArgs = []string{"-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", "nodiscard,lazy_itable_init=1", thatFile}

const mkfsTime = 2 * time.Minute

// hasLayer reports whether there is an image, and how large it is.
func hasLayer(env state.Env) (int64, bool, error) {
	f, err := openImage(env)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return 0, false, fmt.Errorf("read layer: %w", err)
	}
	return fi.Size(), true, nil
}

// openImage opens the layer's image. What the kernel mounts must be
// what Blast made, not what somebody put there.
func openImage(env state.Env) (*os.File, error) {
	f, err := os.OpenFile(imagePath(env), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open layer: %w", err)
	}
	st, err := mountns.Stat(f)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != uint32(os.Geteuid()) || st.Mode&0o077 != 0 || st.Nlink != 1) {
		err = fmt.Errorf("%s is not a file of Blast's alone", f.Name())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open layer: %w", err)
	}
	return f, nil
}

// ensureImage makes the image of the layer if there is none, or takes the one
// that a deletion put aside, and gives it its size.
func ensureImage(ctx context.Context, env state.Env, size int64) error {
	have, ok, err := hasLayer(env)
	if err != nil {
		return err
	}
	if !ok {
		err := os.Rename(filepath.Join(env.Dir, layerKept), imagePath(env))
		switch {
		case err == nil:
			have, _, err = hasLayer(env)
			if err != nil {
				return err
			}
		case errors.Is(err, fs.ErrNotExist):
			return makeImage(ctx, env, size)
		default:
			return fmt.Errorf("take layer back: %w", err)
		}
	}
	if have == size {
		return nil
	}
	return resizeImage(ctx, env, have, size)
}

// prepareLayer makes the layer ready to be mounted.
func prepareLayer(ctx context.Context, env state.Env, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ensureImage(ctx, env, size); err != nil {
		return err
	}
	device, used, err := layerLoop(env)
	if err != nil {
		return err
	}
	if used { // mounted, so it was checked
		return device.Close()
	}
	return checkImage(ctx, env, false)
}

func makeImage(ctx context.Context, env state.Env, size int64) error {
	path := filepath.Join(env.Dir, layerNew)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make layer: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	if err := tool(ctx, f, "mkfs.ext4", mkfsArgs...); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	if err := os.Rename(path, imagePath(env)); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	return nil
}

// resizeImage grows or shrinks a layer that nobody has mounted.
func resizeImage(ctx context.Context, env state.Env, have, size int64) error {
	if device, used, err := layerLoop(env); err != nil {
		return err
	} else if used {
		_ = device.Close()
		return fmt.Errorf("resize layer: %s", layerInUse(have))
	}
	if err := checkImage(ctx, env, true); err != nil {
		return err
	}
	f, err := openImage(env)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if size > have {
		if err := f.Truncate(size); err != nil {
			return fmt.Errorf("resize layer: %w", err)
		}
	}
	if err := tool(ctx, f, "resize2fs", "-f", thatFile, strconv.FormatInt(size/1024, 10)+"K"); err != nil {
		_ = f.Truncate(max(have, size)) // never less than what is in it
		return fmt.Errorf("resize layer to %s: %w", block.FormatSize(size), err)
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("resize layer: %w", err)
	}
	return nil
}

func layerInUse(have int64) string {
	return fmt.Sprintf("it has %s and is in use, and changes its size only while no sandbox runs", block.FormatSize(have))
}

// checkImage repairs a layer that was not unmounted, as after a power failure,
// before the kernel reads it.
func checkImage(ctx context.Context, env state.Env, force bool) error {
	f, err := openImage(env)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	state := make([]byte, 2)
	if _, err = f.ReadAt(state, superblock+stateOffset); err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	if state[0]&1 != 0 && state[0]&2 == 0 && !force { // unmounted cleanly, without errors
		return nil
	}
	err = tool(ctx, f, "e2fsck", "-f", "-p", thatFile)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors corrected
		return nil
	}
	if err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	return nil
}

// Of ext4's superblock: where it lies, and where s_state is in it
// (Documentation/filesystems/ext4/super.rst).
const (
	superblock  = 1024
	stateOffset = 0x3a
)

// thatFile is the image for the programs of e2fsprogs: the descriptor that they
// inherit. One that outlives a daemon which was killed can't reach another image
// under the same name.
const thatFile = "/proc/self/fd/3"

// tool runs a program of e2fsprogs on an image. It ends with this process.
func tool(ctx context.Context, image *os.File, name string, args ...string) error {
	runtime.LockOSThread() // the death of the thread is what counts (prctl(2), PR_SET_PDEATHSIG)
	defer runtime.UnlockOSThread()
	path, err := findTool(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mkfsTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.ExtraFiles = []*os.File{image}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %.300s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// findTool finds a program of e2fsprogs, which lies where the PATH of a person
// may not lead.
func findTool(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: install e2fsprogs", name)
	}
	return path, nil
}

// keepImage puts the layer aside, for an undo to take back.
func keepImage(env state.Env) error {
	err := os.Rename(imagePath(env), filepath.Join(env.Dir, layerKept))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put layer aside: %w", err)
	}
	return nil
}

// dropImages removes what is not the layer of a tree any more.
func dropImages(env state.Env) error {
	for _, name := range []string{layerKept, layerNew} {
		if err := os.Remove(filepath.Join(env.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove layer: %w", err)
		}
	}
	return nil
}
