//go:build linux

package mounts

import (
	"bytes"
	"context"
	"encoding/binary"
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
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// images are layers that are a file system in a sparse file of the environment's state
// folder. They outlive a reboot.
//
// An image is mounted in sandboxes only, never on the host: when the last of them goes,
// the kernel lets go of the loop device by itself (LO_FLAGS_AUTOCLEAR).
type images struct{ env state.Env }

var _ backing = images{}

const layerType = "ext4"

// imageTools are the programs that a layer can't be made without.
var imageTools = []string{"mkfs.ext4", "e2fsck"}

var imageNames = map[slot]string{current: "layer.img", kept: "layer.kept", fresh: "layer.new"}

func (x images) path(s slot) string { return filepath.Join(x.env.Dir, imageNames[s]) }

// mkfsArgs make a file system in 4 ms, in a file of 200 kB: no journal, as what
// it saves is a sandbox's scratch (a layer that was not unmounted is checked);
// no room for growing while mounted; nothing kept for root; tables are written
// when they are used. See mke2fs(8).
var mkfsArgs = []string{"-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", "nodiscard,lazy_itable_init=1"}

const mkfsTime = 2 * time.Minute

func (x images) look(s slot) (found, bool, error) {
	f, err := openAt(x.path(s))
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, false, nil
	}
	if err != nil {
		return found{}, false, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return found{}, false, fmt.Errorf("read layer: %w", err)
	}
	sb, err := readSuper(f)
	if err != nil {
		return found{}, false, err
	}
	return found{size: fi.Size(), inodes: sb.inodes, id: sb.label}, true, nil
}

// open opens the image in a slot. What the kernel mounts must be
// what Blast made, not what somebody put there.
func (x images) open(s slot) (*os.File, error) { return openAt(x.path(s)) }

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

func (x images) make(ctx context.Context, t filesystem.Tree) error {
	f, err := os.OpenFile(x.path(fresh), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(t.LayerSize); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	args := append([]string{"-L", t.Layer.ID, "-N", strconv.FormatInt(t.Inodes(), 10)}, mkfsArgs...)
	if err := tool(ctx, f, "mkfs.ext4", append(args, thatFile)...); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	if t.Layer.Content == "" {
		return nil
	}
	return restore(ctx, x.env, t, f)
}

func (x images) move(from, to slot) error {
	if err := os.Rename(x.path(from), x.path(to)); err != nil {
		return fmt.Errorf("put layer in its place: %w", err)
	}
	return nil
}

func (x images) exchange(a, b slot) error {
	if err := unix.Renameat2(unix.AT_FDCWD, x.path(a), unix.AT_FDCWD, x.path(b), unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("take layer back: %w", err)
	}
	return nil
}

func (x images) drop(s slot) error {
	if err := os.Remove(x.path(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove layer: %w", err)
	}
	return nil
}

// resize grows or shrinks a layer that nobody has mounted.
func (x images) resize(ctx context.Context, have found, t filesystem.Tree) error {
	size := t.LayerSize
	if have.size == size {
		return nil
	}
	if device, used, err := x.loop(current); err != nil {
		return err
	} else if used {
		_ = device.Close()
		return fmt.Errorf("resize layer: %s", layerInUse(have.size))
	}
	f, err := x.open(current)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := check(ctx, f, true); err != nil {
		return err
	}
	if size > have.size {
		if err := f.Truncate(size); err != nil {
			return fmt.Errorf("resize layer: %w", err)
		}
	}
	if err := tool(ctx, f, "resize2fs", "-f", thatFile, strconv.FormatInt(size/1024, 10)+"K"); err != nil {
		_ = f.Truncate(max(have.size, size)) // never less than what is in it
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

// fits says why the layer that is there can't have other bounds: ext4 grows only while
// it is not mounted, and has its inodes from when it was made.
func (x images) fits(have found, t filesystem.Tree) ([]kinds.Problem, error) {
	f, err := x.open(current)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sb, err := readSuper(f)
	if err != nil {
		return nil, err
	}
	if n := sb.inodesAt(t.LayerSize); t.LayerInodes > 0 && max(n-t.LayerInodes, t.LayerInodes-n) > sb.rounding(t.LayerSize) {
		return []kinds.Problem{*problem("inodes", fmt.Sprintf("Write inodes = %d, or run blast destroy, which deletes what the sandbox wrote, and apply then.", n),
			"the writable layer has %d inodes at %s, and ext4 has them from when it was made", n, block.FormatSize(t.LayerSize))}, nil
	}
	if have.size == t.LayerSize {
		return nil, nil
	}
	device, used, err := x.loop(current)
	if err != nil {
		return nil, err
	}
	if !used {
		return layerTools("resize2fs", "e2fsck"), nil
	}
	_ = device.Close()
	return []kinds.Problem{*problem("size", fmt.Sprintf("Write size = %q, or run blast destroy, which deletes what the sandbox wrote, and apply then.", block.FormatSize(have.size)),
		"the writable layer can't get %s: %s", block.FormatSize(t.LayerSize), layerInUse(have.size))}, nil
}

// ready repairs a layer that was not unmounted, as after a power failure, before the
// kernel reads it.
func (x images) ready(ctx context.Context) error {
	device, used, err := x.loop(current)
	if err != nil {
		return err
	}
	if used { // mounted, so it was checked
		return device.Close()
	}
	f, err := x.open(current)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return check(ctx, f, false)
}

func (x images) mount(s slot) (*os.File, error) {
	f, err := x.open(s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return mountImage(f, 0)
}

func (x images) visit(ctx context.Context) (m *os.File, leave func(context.Context), err error) {
	image, err := x.open(current)
	if err != nil {
		return nil, nil, err
	}
	device, used, err := loopOf(image)
	if err == nil && used {
		_ = device.Close()
	} else if err == nil {
		err = check(ctx, image, false)
	}
	if err == nil {
		m, err = mountImage(image, 0)
	}
	if err != nil || used {
		return m, func(context.Context) {}, errors.Join(err, image.Close())
	}
	return m, func(ctx context.Context) {
		_ = letGo(ctx, image)
		_ = image.Close()
	}, nil
}

// check repairs an image that nobody has mounted, if it needs that.
func check(ctx context.Context, image *os.File, force bool) error {
	sb, err := readSuper(image)
	if err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	if sb.clean && !force {
		return nil
	}
	err = tool(ctx, image, "e2fsck", "-f", "-p", thatFile)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors corrected
		return nil
	}
	if err != nil && exit != nil {
		if _, full := filled(image); full {
			return fmt.Errorf("check layer: %w: the disk of the state folder is full: free some space", err)
		}
		return fmt.Errorf("check layer: %w: repair it yourself (e2fsck -f %s), or run blast destroy, which deletes what the sandbox wrote", err, image.Name())
	}
	if err != nil {
		return fmt.Errorf("check layer: %w", err)
	}
	return nil
}

// super is what matters here of ext4's superblock
// (Documentation/filesystems/ext4/super.rst).
type super struct {
	inodes int64
	label  string
	clean  bool // unmounted, and without errors

	groupInodes int64 // of each block group
	groupBytes  int64
	perBlock    int64 // inodes in a block of their tables
}

const superblock = 1024

// readSuper reads it. What is cut off or no ext4 is all zero: what checks it says so.
func readSuper(image *os.File) (super, error) {
	b := make([]byte, 0x100)
	if _, err := image.ReadAt(b, superblock); err != nil && !errors.Is(err, io.EOF) {
		return super{}, fmt.Errorf("read layer: %w", err)
	}
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
	blockSize := int64(1024) << min(number(0x18), 6)
	return super{
		inodes: number(0x0), groupBytes: number(0x20) * blockSize, groupInodes: number(0x28),
		perBlock: blockSize / max(int64(binary.LittleEndian.Uint16(b[0x58:])), 128),
		label:    string(bytes.TrimRight(b[0x78:0x88], "\x00")),
		clean:    b[0x3a]&1 != 0 && b[0x3a]&2 == 0,
	}, nil
}

// groups is how many block groups an image of that size has.
func (s super) groups(size int64) int64 {
	return max((size+s.groupBytes-1)/max(s.groupBytes, 1), 1)
}

// inodesAt is how many inodes it has when it is as large as that.
func (s super) inodesAt(size int64) int64 { return s.groups(size) * s.groupInodes }

// rounding is by how many inodes mke2fs misses what it was asked for at most: tables are
// of whole blocks, and of eight inodes at a time.
func (s super) rounding(size int64) int64 { return s.groups(size) * max(s.perBlock, 8) }

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
