//go:build linux

package mounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// The writable layer is a file system of a fixed size in a sparse file of the
// environment's state folder. Files are made as they fill up, and ENOSPC comes
// exactly at the size. It outlives sandboxes and reboots.
//
//	layer.img        the layer
//	layer.kept       the one that was there before, until Commit
//	layer.new        one that is being made
//
// Its label says which layer it is, see filesystem.LayerID: it is in the image, so
// a rename takes it along.
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

// An image is what lies at a path.
type image struct {
	size int64
	id   string // filesystem.LayerID.ID
}

// hasLayer reports whether there is a layer, and which.
func hasLayer(env state.Env) (image, bool, error) { return lookAtImage(imagePath(env)) }

func lookAtImage(path string) (image, bool, error) {
	f, err := openAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return image{}, false, nil
	}
	if err != nil {
		return image{}, false, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return image{}, false, fmt.Errorf("read layer: %w", err)
	}
	label := make([]byte, labelSize)
	if _, err := f.ReadAt(label, superblock+labelOffset); err != nil && !errors.Is(err, io.EOF) { // cut off: what checks it says so
		return image{}, false, fmt.Errorf("read layer: %w", err)
	}
	return image{fi.Size(), string(bytes.TrimRight(label, "\x00"))}, true, nil
}

// openImage opens the layer's image. What the kernel mounts must be
// what Blast made, not what somebody put there.
func openImage(env state.Env) (*os.File, error) { return openAt(imagePath(env)) }

// openLayer opens the layer of an id, also while it is kept for an undo: another
// sandbox may still have it.
func openLayer(env state.Env, id string) (*os.File, error) {
	for _, path := range []string{imagePath(env), filepath.Join(env.Dir, layerKept)} {
		if is, ok, err := lookAtImage(path); err != nil {
			return nil, err
		} else if ok && is.id == id {
			return openAt(path)
		}
	}
	return nil, fmt.Errorf("open layer %q: %w", id, fs.ErrNotExist)
}

func openAt(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
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

// ensureImage makes the image of a tree's layer the one that is there, and gives it
// its size. What was there before is kept until Commit.
func ensureImage(ctx context.Context, env state.Env, t filesystem.Tree) error {
	have, ok, err := hasLayer(env)
	if err != nil {
		return err
	}
	if !ok || have.id != t.Layer.ID {
		back, err := takeBack(env, t.Layer.ID)
		if err != nil {
			return err
		}
		if !back {
			return makeImage(ctx, env, t)
		}
		if have, _, err = hasLayer(env); err != nil {
			return err
		}
	}
	if have.size == t.LayerSize {
		return nil
	}
	return resizeImage(ctx, env, have.size, t.LayerSize)
}

// takeBack puts the layer that was kept in the place of the one that is there, if
// it has that id, and reports whether it did.
func takeBack(env state.Env, id string) (bool, error) {
	kept := filepath.Join(env.Dir, layerKept)
	was, ok, err := lookAtImage(kept)
	if err != nil || !ok || was.id != id {
		return false, err
	}
	err = unix.Renameat2(unix.AT_FDCWD, kept, unix.AT_FDCWD, imagePath(env), unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) { // there is none
		err = os.Rename(kept, imagePath(env))
	}
	if err != nil {
		return false, fmt.Errorf("take layer back: %w", err)
	}
	return true, nil
}

// prepareLayer makes the layer ready to be mounted.
func prepareLayer(ctx context.Context, env state.Env, t filesystem.Tree) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ensureImage(ctx, env, t); err != nil {
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

// makeImage makes a layer beside the one that is there, whole, and then puts it in
// its place.
func makeImage(ctx context.Context, env state.Env, t filesystem.Tree) error {
	path := filepath.Join(env.Dir, layerNew)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make layer: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(t.LayerSize); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	if err := tool(ctx, f, "mkfs.ext4", append([]string{"-L", t.Layer.ID}, mkfsArgs...)...); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	if t.Layer.Content != "" {
		if err := restore(ctx, env, t, f); err != nil {
			return err
		}
	}
	if err := keepImage(env); err != nil {
		return err
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
	return check(ctx, f, force)
}

// check repairs an image that nobody has mounted, if it needs that.
func check(ctx context.Context, image *os.File, force bool) error {
	state := make([]byte, 2)
	if _, err := image.ReadAt(state, superblock+stateOffset); err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	if state[0]&1 != 0 && state[0]&2 == 0 && !force { // unmounted cleanly, without errors
		return nil
	}
	err := tool(ctx, image, "e2fsck", "-f", "-p", thatFile)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors corrected
		return nil
	}
	if err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	return nil
}

// Of ext4's superblock: where it lies, and where s_state and s_volume_name are in it
// (Documentation/filesystems/ext4/super.rst).
const (
	superblock  = 1024
	stateOffset = 0x3a
	labelOffset = 0x78
	labelSize   = 16
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

// keepImage puts the layer that is there aside, for an undo to take back.
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
