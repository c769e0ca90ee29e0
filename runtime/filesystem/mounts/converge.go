//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// rounds bounds how often converge looks again. It takes a few, and more only
// while somebody inside renames folders as they are being pinned.
const rounds = 50

// converge mends until the kernel shows what is wanted. From whatever point it
// starts, it never takes a protection away before what comes in its place is there.
func (b *box) converge(ctx context.Context) error {
	if err := b.clearStage(); err != nil {
		return err
	}
	var s *sight
	for range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if s, err = b.look(); err != nil {
			return err
		}
		if s.fine() {
			return b.clearStage()
		}
		if err := b.mend(ctx, s); err != nil && !errors.Is(err, errRaced) {
			return err
		}
	}
	return fmt.Errorf("the mounts of the sandbox change all the time: %s", strings.Join(s.drift(), "; "))
}

// mend brings what is seen nearer to what is wanted: first what lies on ours and
// hides it, then what is missing, and only when all is there, what is too much.
func (b *box) mend(ctx context.Context, s *sight) error {
	if did, err := b.uncover(s); did || err != nil {
		return err
	}
	did := false
	for g, w := range b.tree {
		if w.parent >= 0 {
			continue
		}
		mended, err := b.mendGroup(ctx, s, g)
		if err != nil {
			return err
		}
		did = did || mended
	}
	if did {
		return nil
	}
	return b.drop(ctx, s)
}

// errRebuild says that a group can't be mended in place.
var errRebuild = errors.New("build the group anew")

func (b *box) mendGroup(ctx context.Context, s *sight, g int) (did bool, err error) {
	if !b.wrong(s, g) {
		return false, nil
	}
	err = errRebuild
	if !b.mustBuild(s, g) {
		err = b.mendInPlace(ctx, s, g)
	}
	if errors.Is(err, errRebuild) {
		err = b.rebuild(ctx, g)
	}
	return true, err
}

func (b *box) wrong(s *sight, g int) bool {
	for i := range b.tree {
		if root(b.tree, i) == g && s.faults[i] != none {
			return true
		}
	}
	return false
}

// mustBuild reports whether a group can't be mended in place: what is missing would come to
// lie on what is there, or show for a moment without its protections.
func (b *box) mustBuild(s *sight, g int) bool {
	if s.faults[g] == missing || s.faults[g] == other {
		return true
	}
	for i, w := range b.tree {
		if root(b.tree, i) != g {
			continue
		}
		switch s.faults[i] {
		case missing:
			if !w.mask() && b.hasBelow(i) || s.covers(b, w) {
				return true
			}
		case other:
			if w.Type != filesystem.Hide && w.Type != filesystem.ReadOnly || s.children(s.of[i]) {
				return true
			}
		}
	}
	return false
}

func (b *box) hasBelow(i int) bool {
	for _, w := range b.tree {
		if w.parent == i {
			return true
		}
	}
	return false
}

// covers reports whether a mount at w's place would lie on others, or below one
// that is to go.
func (s *sight) covers(b *box, w want) bool {
	for _, r := range s.rows {
		if within(r.Point, w.Target) {
			return true
		}
	}
	top := b.tree[root(b.tree, indexOf(b.tree, w.Target))].Target
	for _, i := range s.extras {
		if p := s.rows[i].Point; within(w.Target, p) && within(p, top) {
			return true
		}
	}
	return false
}

// children reports whether anything is mounted on row j.
func (s *sight) children(j int) bool {
	for _, r := range s.rows {
		if r.Parent == s.rows[j].ID {
			return true
		}
	}
	return false
}

// mendInPlace mounts what is missing and sets options, where that is as safe as
// building the group anew: then who works in there notices nothing else.
func (b *box) mendInPlace(ctx context.Context, s *sight, g int) error {
	for i, w := range b.tree {
		if root(b.tree, i) != g {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch s.faults[i] {
		case missing:
			err = b.attach(i, inPlace)
		case loose:
			err = b.tighten(w, s.rows[s.of[i]])
		case other:
			err = b.exchange(i, s.rows[s.of[i]])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tighten sets the options and the size of a mount that is there.
func (b *box) tighten(w want, r mountns.Row) error {
	f, err := b.at(r)
	if err != nil {
		return err
	}
	if f == nil {
		return errRebuild
	}
	defer func() { _ = f.Close() }()
	o, err := b.options(w)
	if err != nil {
		return err
	}
	if have := optionsOf(r); have != o {
		err := b.in.SetAttr(f, o&^have, have&^o)
		if errors.Is(err, unix.EBUSY) { // a file is open for writing
			return errRebuild
		}
		if err != nil {
			return fmt.Errorf("set options of %s: %w", w.Target, err)
		}
	}
	if w.Type != filesystem.Tmpfs {
		return nil
	}
	return b.resize(w, f)
}
