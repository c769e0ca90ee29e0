//go:build linux

package mounts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// An overlay has three layers, of which commands write the first:
//
//	upper    a folder of the writable layer, which is bounded and stays until destroy
//	lower    the source, its owners mapped, as a bind shows it; never written
//	places   files and folders in memory that keep the place of absent protected
//	         paths. They lie lowest: what the project has comes first, and in the
//	         project and in what was written there is nothing of them
//
// upperPrefix is what the folders of the layer are called that are the upper ones.
const (
	upperPrefix = "workspace"
	workSuffix  = "-work"
)

// upperName is the folder of the layer for what is written over a source: another
// source is another project, or another part of it.
func upperName(env state.Env, source string) string {
	if source == env.Project {
		return upperPrefix
	}
	sum := sha256.Sum256([]byte(strings.TrimPrefix(source, env.Project)))
	return upperPrefix + "-" + hex.EncodeToString(sum[:8])
}

// overlay makes a detached overlay of want i, with a place for all that lies on it.
func (b *box) overlay(i int) (*os.File, error) {
	w := b.tree[i]
	o, err := b.options(w)
	if err != nil {
		return nil, err
	}
	lower, st, err := b.lower(w)
	if err != nil {
		return nil, err
	}
	places, made, err := b.places(i, lower)
	if err != nil {
		return nil, err
	}
	upper, work, err := b.upper(upperName(b.env, w.Source), st)
	if err != nil {
		return nil, err
	}
	m, err := b.in.Overlay(mountns.Overlay{
		Source: b.overlayID(w, st), Lower: []*os.File{lower, places}, Upper: upper, Work: work, UID: b.user, GID: b.group,
	}, int(o))
	if err == nil {
		err = b.notePlaces(made)
	}
	return m, errors.Join(err, b.clearOverlay())
}

// clearOverlay takes the layers from the stage: the overlay has mounts of its own of them.
func (b *box) clearOverlay() error {
	var errs []error
	for _, name := range []string{stageLower, stagePlaces, stageUpper} {
		errs = append(errs, b.offStage(name))
	}
	return errors.Join(errs...)
}

// stand mounts m on the stage and opens it there.
func (b *box) stand(name string, m *os.File) (*os.File, error) {
	defer func() { _ = m.Close() }()
	place, err := b.onStage(name, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = place.Close() }()
	if err := b.in.Attach(m, place); err != nil {
		return nil, err
	}
	f, err := b.view.Open(path.Join(stageDir, name))
	if err != nil {
		return nil, err
	}
	return b.keep(f), nil
}

// lower is the source on the stage, read-only, and what the host says of its folder.
func (b *box) lower(w want) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	src, err := openSource(b.env, w.Mount)
	if err != nil {
		return nil, st, err
	}
	defer func() { _ = src.Close() }()
	if st, err = mountns.Stat(src); err != nil {
		return nil, st, err
	}
	owners, err := b.userNS()
	if err != nil {
		return nil, st, err
	}
	m, err := mountns.Clone(src, mountns.Attr{Set: always | unix.MOUNT_ATTR_RDONLY, UserNS: owners})
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%s: %w", w.Source, errNoIDMap)
	}
	if err != nil {
		return nil, st, err
	}
	f, err := b.stand(stageLower, m)
	return f, st, err
}

// upper opens the folders of the layer that an overlay writes, made if they are not there. The
// work folder is new each time: the kernel empties it, and another mount may still be at work
// in the one before.
func (b *box) upper(name string, like unix.Stat_t) (upper, work *os.File, err error) {
	raw, err := b.rawLayer()
	if err != nil {
		return nil, nil, err
	}
	owner := owner{uid: b.env.UID, gid: b.env.GID}
	if err := makeBelow(raw, name, true, owner); err != nil {
		return nil, nil, err
	}
	if err := b.sweepWork(raw, name+workSuffix); err != nil {
		return nil, nil, err
	}
	workName := path.Join(name+workSuffix, b.freeName(raw, name+workSuffix))
	if err := makeBelow(raw, workName, true, owner); err != nil {
		return nil, nil, err
	}
	dir, err := mountns.OpenAt(raw, name, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Chmod(fs.FileMode(like.Mode & 0o777)); err != nil { // it is what the folder itself shows
		return nil, nil, err
	}
	owners, err := b.userNS()
	if err != nil {
		return nil, nil, err
	}
	m, err := b.in.CloneInside(raw, mountns.Attr{Set: always, UserNS: owners})
	if err != nil {
		return nil, nil, err
	}
	root, err := b.stand(stageUpper, m)
	if err != nil {
		return nil, nil, err
	}
	const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV
	if upper, err = mountns.OpenAt(root, name, unix.O_PATH|unix.O_DIRECTORY, beneath); err != nil {
		return nil, nil, err
	}
	b.keep(upper)
	if work, err = mountns.OpenAt(root, workName, unix.O_PATH|unix.O_DIRECTORY, beneath); err != nil {
		return nil, nil, err
	}
	return upper, b.keep(work), nil
}

// sweepWork removes the work folders of overlays that are not there any more: nobody but
// this sandbox runs, and it has none.
func (b *box) sweepWork(raw *os.File, name string) error {
	ids, err := sandbox.List(b.env)
	if err != nil {
		return err
	}
	rows, err := b.view.Table()
	if err != nil {
		return err
	}
	if len(ids) > 1 || slices.ContainsFunc(rows, func(r mountns.Row) bool { return r.Type == "overlay" && !isBase(r.Point) }) {
		return nil
	}
	r, err := openRoot(raw)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := r.RemoveAll(name); err != nil {
		return fmt.Errorf("clear %s of the layer: %w", name, err)
	}
	return nil
}

// freeName is a name that nothing in a folder of the layer has.
func (b *box) freeName(raw *os.File, folder string) string {
	for n := 0; ; n++ {
		var st unix.Stat_t
		name := strconv.Itoa(n)
		if unix.Fstatat(int(raw.Fd()), path.Join(folder, name), &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return name
		}
	}
}

// openRoot opens a folder that is open as the root of what can be reached.
func openRoot(f *os.File) (*os.Root, error) {
	return os.OpenRoot("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

// places is the lowest layer, and which paths it holds: those that are to be protected
// and that the source doesn't have.
func (b *box) places(base int, lower *os.File) (*os.File, []string, error) {
	var absent []want
	for _, w := range b.tree {
		if w.base != base {
			continue
		}
		f, err := mountns.OpenAt(lower, b.below(w), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
		if err == nil {
			_ = f.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, b.obstacle(w, err)
		}
		absent = append(absent, w)
	}
	m, err := mountns.Tmpfs{Size: placesSize, Inodes: int64(len(b.tree))*maxDepth + 1, UID: b.user, GID: b.group, Mode: 0o755}.New(always)
	if err != nil {
		return nil, nil, err
	}
	root, err := b.stand(stagePlaces, m)
	if err != nil {
		return nil, nil, err
	}
	var made []string
	for _, w := range absent {
		folder, err := b.folder(w)
		if err != nil {
			return nil, nil, err
		}
		if err := makeBelow(root, b.below(w), folder, owner{uid: int(b.user), gid: int(b.group), content: w.Content}); err != nil {
			return nil, nil, b.obstacle(w, err)
		}
		made = append(made, w.Target)
	}
	return root, made, nil
}

// Bounds of the layer of places, which holds nothing but names.
const (
	placesSize = 1 << 20
	maxDepth   = 64
)

// below is the target of a want, relative to what it lies on.
func (b *box) below(w want) string { return strings.TrimPrefix(w.Target, b.tree[w.base].Target+"/") }

// noPlace says why a path has no place in an overlay. It is none of the source's, and
// the overlay was made before it was wanted, or what commands wrote hides its place.
func (b *box) noPlace(w want, where placement) error {
	if where(w.Target) == w.Target {
		return errRebuild
	}
	return &ObstacleError{w.Name, w.Target, "lies in what commands have made or removed in the layer", "accept or discard that (blast diff names it)"}
}

// overlayID is what the mount table calls the overlay of w: its layers are those that
// are wanted if it is the same.
func (b *box) overlayID(w want, lower unix.Stat_t) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d", b.layerID, upperName(b.env, w.Source), lower.Dev, lower.Ino))
	return "blast-" + hex.EncodeToString(sum[:8])
}

// sameOverlay reports whether row r is the overlay that w wants. One with places that
// nobody wants any more is not: what was opened would show as an empty file.
func (b *box) sameOverlay(w want, r mountns.Row) (bool, error) {
	if r.Type != "overlay" || r.Root != "/" {
		return false, nil
	}
	src, err := openSource(b.env, w.Mount)
	if err != nil {
		return false, nil // a source that is gone or may not be shown is not what is mounted
	}
	defer func() { _ = src.Close() }()
	st, err := mountns.Stat(src)
	if err != nil || r.Source != b.overlayID(w, st) {
		return false, err
	}
	var noted map[string][]string
	if _, err := b.env.ReadNote(placesNote, &noted); err != nil {
		return false, err
	}
	unwanted := func(p string) bool { return indexOf(b.tree, p) < 0 }
	return !slices.ContainsFunc(noted[b.id], unwanted), nil
}

// placesNote is which places the overlay of each sandbox has.
const placesNote = "places"

// notePlaces notes them. What there is of sandboxes that are gone is forgotten.
func (b *box) notePlaces(made []string) error {
	var noted map[string][]string
	if _, err := b.env.ReadNote(placesNote, &noted); err != nil {
		return err
	}
	ids, err := sandbox.List(b.env)
	if err != nil {
		return err
	}
	next := map[string][]string{}
	for _, id := range ids {
		if noted[id] != nil {
			next[id] = noted[id]
		}
	}
	next[b.id] = made
	return b.env.WriteNote(placesNote, next)
}

// refresh lets the overlays show what the host has by now.
func (b *box) refresh() error {
	for _, w := range b.tree {
		if !w.overlay() {
			continue
		}
		f, err := b.view.Open(w.Target)
		if err != nil {
			return fmt.Errorf("refresh %s: %w", w.Target, err)
		}
		err = mountns.Refresh(f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
