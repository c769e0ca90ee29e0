//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// The writable layer is a file system of a fixed size, in bytes and in files, of its
// environment alone: ENOSPC comes exactly there. It outlives sandboxes. It says itself
// which layer it is, see filesystem.LayerID, so a rename takes that along.
//
// Of the places that it may be in, slots, only the first one is shown to new sandboxes.
type slot string

const (
	current slot = "layer"      // the layer
	kept    slot = "layer.kept" // the one that was there before, until Commit
	fresh   slot = "layer.new"  // one that is being made
)

// A backing is what a layer is made of. All methods may be called again after a crash at
// any point.
type backing interface {
	// look says what lies in a slot, and whether something does.
	look(s slot) (found, bool, error)
	// make makes the layer of a tree, with its files, whole, in the slot fresh.
	make(ctx context.Context, t filesystem.Tree) error
	// move puts what is in a slot into another, in the place of what is there.
	move(from, to slot) error
	exchange(a, b slot) error
	// drop removes what is in a slot. It is no error if there is nothing.
	drop(s slot) error
	// resize gives the current layer the bounds of a tree.
	resize(ctx context.Context, have found, t filesystem.Tree) error
	// ready makes the current layer fit to be mounted.
	ready(ctx context.Context) error
	// fits says what keeps the layer that is there from having the bounds of a tree.
	fits(have found, t filesystem.Tree) ([]kinds.Problem, error)
	// mount makes a detached mount of a whole layer.
	mount(s slot) (*os.File, error)
	// visit makes a detached mount of the current layer for somebody who looks in, also
	// while nobody has it mounted. leave is called when that mount is closed.
	visit(ctx context.Context) (m *os.File, leave func(context.Context), err error)
	// shown is the device and type that a mount of the layer has in mountinfo; "" if there
	// is no mount of it.
	shown(s slot) (device, kind string, err error)
	// copy is that of kinds.Copier.
	copy(ctx context.Context) (kinds.Copy, error)
}

// found is what lies in a slot.
type found struct {
	size   int64
	inodes int64
	id     string // filesystem.LayerID.ID
	paged  bool   // in whole pages: memory
}

// differs says how a layer differs from what a tree says; "" if it doesn't.
func (f found) differs(t filesystem.Tree) string {
	size := t.LayerSize
	if f.paged {
		size = pages(size)
	}
	switch {
	case f.size != size:
		return fmt.Sprintf("the writable layer has %d bytes", f.size)
	case f.paged && f.inodes != t.Inodes():
		return fmt.Sprintf("the writable layer has %d inodes", f.inodes)
	case f.id != t.Layer.ID:
		return "another writable layer is in the place of this one"
	}
	return ""
}

// pages is a size in whole pages.
func pages(size int64) int64 {
	page := int64(os.Getpagesize())
	return (size + page - 1) / page * page
}

// backingOf is what the layer of an environment is made of, or would be: an image where
// the host can have one, and else memory. One that is there stays what it is.
func backingOf(env state.Env) (backing, error) {
	i, m := images{env}, memories{env}
	for _, s := range []slot{current, kept} {
		if _, ok, err := i.look(s); ok || err != nil {
			return i, err
		}
		if _, ok, err := m.look(s); ok || err != nil {
			return m, err
		}
	}
	if len(layerTools(imageTools...)) > 0 && m.able(env) == nil {
		return m, nil
	}
	return i, nil
}

// hasLayer reports whether there is a layer, and which.
func hasLayer(env state.Env) (found, bool, error) {
	b, err := backingOf(env)
	if err != nil {
		return found{}, false, err
	}
	return b.look(current)
}

// slotOf finds the layer of an id, also while it is kept for an undo: another sandbox may
// still have it.
func slotOf(b backing, id string) (slot, error) {
	for _, s := range []slot{current, kept} {
		if is, ok, err := b.look(s); err != nil {
			return "", err
		} else if ok && is.id == id {
			return s, nil
		}
	}
	return "", fs.ErrNotExist
}

// prepareLayer makes the layer ready to be mounted.
func prepareLayer(ctx context.Context, env state.Env, t filesystem.Tree) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := backingOf(env)
	if err != nil {
		return err
	}
	if err := ensureLayer(ctx, b, t); err != nil {
		return err
	}
	return b.ready(ctx)
}

// ensureLayer makes the layer of a tree the one that is there, and gives it its bounds.
// What was there before is kept until Commit.
func ensureLayer(ctx context.Context, b backing, t filesystem.Tree) error {
	have, ok, err := b.look(current)
	if err != nil {
		return err
	}
	if !ok || have.id != t.Layer.ID {
		back, err := takeBack(b, t.Layer.ID)
		if err != nil {
			return err
		}
		if !back {
			return replaceLayer(ctx, b, t)
		}
		if have, _, err = b.look(current); err != nil {
			return err
		}
	}
	return b.resize(ctx, have, t)
}

// replaceLayer makes a layer beside the one that is there, whole, and then puts it in its
// place.
func replaceLayer(ctx context.Context, b backing, t filesystem.Tree) error {
	if err := b.drop(fresh); err != nil {
		return err
	}
	if err := b.make(ctx, t); err != nil {
		return err
	}
	if err := keepLayer(b); err != nil {
		return err
	}
	return b.move(fresh, current)
}

// takeBack puts the layer that was kept in the place of the one that is there, if
// it has that id, and reports whether it did.
func takeBack(b backing, id string) (bool, error) {
	was, ok, err := b.look(kept)
	if err != nil || !ok || was.id != id {
		return false, err
	}
	err = b.exchange(kept, current)
	if errors.Is(err, fs.ErrNotExist) { // there is none
		err = b.move(kept, current)
	}
	return err == nil, err
}

// keepLayer puts the layer that is there aside, for an undo to take back.
func keepLayer(b backing) error {
	err := b.move(current, kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// dropLayers removes what is not the layer of a tree any more.
func dropLayers(env state.Env) error {
	for _, b := range []backing{images{env}, memories{env}} {
		for _, s := range []slot{kept, fresh} {
			if err := b.drop(s); err != nil {
				return err
			}
		}
	}
	return nil
}
