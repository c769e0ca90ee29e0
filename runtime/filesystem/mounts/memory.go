//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot/layer"
)

// memories are layers in memory, where a host can't have images: each is a tmpfs that is
// mounted in a folder of the environment's run folder, where nobody but root comes. What
// is in it counts as memory of who wrote it, and goes with the machine's power.
//
// A mount point can't be renamed, but the folder that it lies in can: so slots are
// exchanged as images are.
type memories struct{ env state.Env }

var _ backing = memories{}

// memoryPoint is what a slot's folder has in it, and layerSource begins what mountinfo
// shows as the source of that mount: the layer's id ends it.
const (
	memoryPoint = "m"
	layerSource = "blast-layer-"
	memoryType  = "tmpfs"
)

func (x memories) path(s slot) string  { return filepath.Join(x.env.Run, string(s)) }
func (x memories) point(s slot) string { return filepath.Join(x.path(s), memoryPoint) }

// able says why no layer can be in memory here: tmpfs shows the owners of files as others
// from Linux 6.3 on.
func (x memories) able(env state.Env) error {
	m, err := mountns.Tmpfs{Source: "blast", Size: 1 << 20, Inodes: 16, Mode: 0o700}.New(always)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	owners, err := mountns.IDMap{DiskUID: uint32(env.UID), DiskGID: uint32(env.GID), HostUID: probeID, HostGID: probeID}.UserNS()
	if err != nil {
		return err
	}
	defer func() { _ = owners.Close() }()
	return mountns.Set(m, mountns.Attr{UserNS: owners})
}

// row is the mount in a slot.
func (x memories) row(s slot) (mountns.Row, bool, error) {
	if _, err := os.Lstat(x.point(s)); errors.Is(err, fs.ErrNotExist) {
		return mountns.Row{}, false, nil
	}
	rows, err := mountns.OwnTable()
	if err != nil {
		return mountns.Row{}, false, fmt.Errorf("read layer: %w", err)
	}
	for _, r := range rows {
		if r.Point == x.point(s) && r.Type == memoryType && strings.HasPrefix(r.Source, layerSource) {
			return r, true, nil
		}
	}
	return mountns.Row{}, false, nil
}

func (x memories) look(s slot) (found, bool, error) {
	r, ok, err := x.row(s)
	if !ok || err != nil {
		return found{}, false, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(x.point(s), &st); err != nil {
		return found{}, false, fmt.Errorf("read layer: %w", err)
	}
	return found{int64(st.Blocks) * st.Bsize, int64(st.Files), strings.TrimPrefix(r.Source, layerSource), true}, true, nil
}

func (x memories) tmpfs(t filesystem.Tree) mountns.Tmpfs {
	return mountns.Tmpfs{Source: layerSource + t.Layer.ID, Size: pages(t.LayerSize), Inodes: t.Inodes(), Mode: 0o755}
}

func (x memories) make(ctx context.Context, t filesystem.Tree) (err error) {
	if err := os.MkdirAll(x.point(fresh), 0o700); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	m, err := x.tmpfs(t).New(always)
	if err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	defer func() { _ = m.Close() }()
	if t.Layer.Content != "" {
		if err := x.restore(ctx, t, m); err != nil {
			return err
		}
	}
	if err := mountns.Put(m, x.point(fresh)); err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	return nil
}

func (x memories) restore(ctx context.Context, t filesystem.Tree, m *os.File) error {
	l, s, err := content(x.env, t)
	if err != nil {
		return fmt.Errorf("restore layer: %w", err)
	}
	defer func() { _ = s.Close() }()
	if err := unpackInto(ctx, x.env, s, l, m, nil); err != nil {
		return fmt.Errorf("restore layer from snapshot %s: %w", t.Layer.Snapshot, err)
	}
	return nil
}

func (x memories) move(from, to slot) error {
	if _, ok, err := x.row(from); err != nil {
		return err
	} else if !ok {
		return fs.ErrNotExist
	}
	if err := x.drop(to); err != nil {
		return err
	}
	if err := os.Rename(x.path(from), x.path(to)); err != nil {
		return fmt.Errorf("put layer in its place: %w", err)
	}
	return nil
}

func (x memories) exchange(a, b slot) error {
	if err := unix.Renameat2(unix.AT_FDCWD, x.path(a), unix.AT_FDCWD, x.path(b), unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("take layer back: %w", err)
	}
	return nil
}

func (x memories) drop(s slot) error {
	if _, err := os.Lstat(x.path(s)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for { // one may lie on another
		err := unix.Unmount(x.point(s), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("remove layer: %w", err)
		}
	}
	for _, dir := range []string{x.point(s), x.path(s)} { // not what is in them: nothing can be
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove layer: %w", err)
		}
	}
	return nil
}

// resize changes the bounds, also while the layer is in use.
func (x memories) resize(_ context.Context, have found, t filesystem.Tree) error {
	want := x.tmpfs(t)
	if have.size == want.Size && have.inodes == want.Inodes {
		return nil
	}
	f, err := x.open(current)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = want.Resize(f)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("the writable layer holds more than %s or %d inodes: remove files in it, or give it more", block.FormatSize(t.LayerSize), t.Inodes())
	}
	return err
}

func (memories) ready(context.Context) error { return nil }

func (memories) fits(found, filesystem.Tree) ([]kinds.Problem, error) { return nil, nil }

// open opens the root of a layer, for its path only.
func (x memories) open(s slot) (*os.File, error) {
	if _, ok, err := x.row(s); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("open layer: %w", fs.ErrNotExist)
	}
	return mountns.OpenHost(x.point(s))
}

func (x memories) mount(s slot) (*os.File, error) {
	f, err := x.open(s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return mountns.Clone(f, mountns.Attr{Set: always})
}

func (x memories) visit(context.Context) (m *os.File, leave func(context.Context), err error) {
	m, err = x.mount(current)
	return m, func(context.Context) {}, err
}

func (x memories) shown(s slot) (device, kind string, err error) {
	r, ok, err := x.row(s)
	if !ok || err != nil {
		return "", "", err
	}
	return r.Device, memoryType, nil
}

// copy packs the layer while nothing runs: it is in memory, and so bounded by that.
func (x memories) copy(ctx context.Context) (kinds.Copy, error) {
	m, err := x.mount(current)
	if errors.Is(err, fs.ErrNotExist) {
		return &imageCopy{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }()
	fd, err := unix.Open(x.env.Dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("copy layer: %w", &os.PathError{Op: "open", Path: x.env.Dir, Err: err})
	}
	c := &packedCopy{f: os.NewFile(uintptr(fd), "layer.copy")}
	if c.stats, err = layer.Pack(ctx, m, c.f, nil); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("copy layer in %s: %w", x.env.Dir, err)
	}
	return c, nil
}

// packedCopy is a copy that is an archive already, in a file without a name.
type packedCopy struct {
	f     *os.File
	stats layer.Stats
}

var _ kinds.Copy = (*packedCopy)(nil)

// Close implements kinds.Copy.
func (c *packedCopy) Close() error { return c.f.Close() }

// Shared implements kinds.Copy.
func (c *packedCopy) Shared() (shared bool, copied int64) { return false, c.stats.Bytes }

// Pack implements kinds.Copy.
func (c *packedCopy) Pack(_ context.Context, w io.Writer, told func(int64)) (layer.Stats, error) {
	if _, err := c.f.Seek(0, io.SeekStart); err != nil {
		return layer.Stats{}, err
	}
	n, err := io.Copy(w, c.f)
	if told != nil {
		told(n)
	}
	return c.stats, err
}
