//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/sandbox"
)

// The stage is a folder of the sandbox's root that belongs to the host's root and
// can be entered by nobody else: here mounts are put together before they are
// shown, and taken apart after. It is there only while Apply works.
const (
	stageDir   = "/.mounts"
	stageNew   = "new"
	stageOld   = "old"
	stageLayer = "layer"

	stageLower, stagePlaces, stageUpper = "lower", "places", "upper" // of an overlay
)

// skeleton opens the root of the sandbox as the host sees it: without any mount.
func (b *box) skeleton() (*os.Root, error) {
	r, err := os.OpenRoot(sandbox.SkeletonDir(b.env, b.id))
	if err != nil {
		return nil, fmt.Errorf("open sandbox's root: %w", err)
	}
	return r, nil
}

// onStage makes an empty mount point on the stage and opens it in the sandbox.
func (b *box) onStage(name string, folder bool) (*os.File, error) {
	if err := b.offStage(name); err != nil {
		return nil, err
	}
	r, err := b.skeleton()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	if err := r.Mkdir(stageDir[1:], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make stage: %w", err)
	}
	if err := makeIn(r, path.Join(stageDir[1:], name), folder); err != nil {
		return nil, fmt.Errorf("make stage: %w", err)
	}
	return b.view.Open(path.Join(stageDir, name))
}

// offStage removes a mount point. The kernel then takes away what is mounted
// there as a whole: for who still has a folder of it open, masks stay on.
func (b *box) offStage(name string) error {
	r, err := b.skeleton()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := r.Remove(path.Join(stageDir[1:], name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear stage: %w", err)
	}
	return nil
}

// clearStage removes the stage with all that is on it.
func (b *box) clearStage() error {
	b.layer = nil
	for _, name := range []string{stageNew, stageOld, stageLayer, stageLower, stagePlaces, stageUpper, ""} {
		if err := b.offStage(name); err != nil {
			return err
		}
	}
	return nil
}

// makeIn makes an empty file or folder.
func makeIn(r *os.Root, name string, folder bool) error {
	if folder {
		return r.Mkdir(name, 0o755)
	}
	f, err := r.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// retire takes away a mount with all that is mounted below it.
func (b *box) retire(f *os.File) error {
	st, err := mountns.Stat(f)
	if err != nil {
		return fmt.Errorf("retire mount: %w", err)
	}
	place, err := b.onStage(stageOld, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer func() { _ = place.Close() }()
	if err := b.in.Attach(f, place); err != nil {
		return fmt.Errorf("retire mount: %w", err)
	}
	return b.offStage(stageOld)
}

// rawLayer is the root of the layer with the owners that are on disk, mounted on
// the stage.
func (b *box) rawLayer() (*os.File, error) {
	if b.layer != nil {
		return b.layer, nil
	}
	from, err := backingOf(b.env)
	if err != nil {
		return nil, err
	}
	s, err := slotOf(from, b.layerID)
	if err != nil {
		return nil, fmt.Errorf("open layer %q: %w", b.layerID, err)
	}
	m, err := from.mount(s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }()
	place, err := b.onStage(stageLayer, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = place.Close() }()
	if err := b.in.Attach(m, place); err != nil {
		return nil, err
	}
	f, err := b.view.Open(path.Join(stageDir, stageLayer))
	if err != nil {
		return nil, err
	}
	b.layer = b.keep(f)
	return f, nil
}
