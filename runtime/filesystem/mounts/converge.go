//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// exchange puts a protection in the place of another, which goes only when the
// new one is there.
func (b *box) exchange(i int, r mountns.Row) error {
	w := b.tree[i]
	old, err := b.at(r)
	if err != nil {
		return err
	}
	if old == nil || b.tree[w.base].Type != filesystem.Bind {
		return errRebuild
	}
	defer func() { _ = old.Close() }()
	m, err := b.standIn(w, old)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	if err := b.in.AttachBeneath(m, old); err != nil {
		return errRebuild // before Linux 6.5
	}
	return b.in.Detach(old)
}

// standIn makes a detached mount for the place of the protection old. What lies
// below that can only be reached through the source.
func (b *box) standIn(w want, old *os.File) (*os.File, error) {
	if w.Type == filesystem.Hide {
		st, err := mountns.Stat(old)
		if err != nil {
			return nil, err
		}
		return b.hidden(st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	base := b.tree[w.base]
	o, err := b.options(w)
	if err != nil {
		return nil, err
	}
	src, err := openSource(b.env, base.Mount)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	f, err := mountns.OpenAt(src, strings.TrimPrefix(w.Target, base.Target+"/"), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, errRebuild
	}
	defer func() { _ = f.Close() }()
	owners, err := b.userNS()
	if err != nil {
		return nil, err
	}
	return mountns.Clone(f, mountns.Attr{Set: o &^ unix.MOUNT_ATTR_IDMAP, UserNS: owners})
}

// rebuild makes a group on the stage and puts it in the place of what is there.
func (b *box) rebuild(ctx context.Context, g int) error {
	top, err := b.detached(g, nil)
	if err != nil {
		return fmt.Errorf("mount %s: %w", b.tree[g].Target, err)
	}
	defer func() { _ = top.Close() }()
	st, err := mountns.Stat(top)
	if err != nil {
		return err
	}
	folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
	place, err := b.onStage(stageNew, folder)
	if err != nil {
		return err
	}
	defer func() { _ = place.Close() }()
	if err := b.in.Attach(top, place); err != nil {
		return err
	}
	where := b.staged(g)
	for i := range b.tree {
		if i == g || root(b.tree, i) != g {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.attach(i, where); err != nil {
			return err
		}
	}
	if ok, err := b.complete(g); !ok || err != nil {
		return err // somebody inside renamed a folder meanwhile: converge tries again
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.publish(g, top, folder)
}

// complete reports whether each mount of a group on the stage lies where it was
// meant to.
func (b *box) complete(g int) (bool, error) {
	rows, err := b.view.Table()
	if err != nil {
		return false, err
	}
	at := map[string]bool{}
	for _, r := range rows {
		at[r.Point] = true
	}
	where := b.staged(g)
	for i, w := range b.tree {
		if root(b.tree, i) == g && !at[where(w.Target)] {
			return false, nil
		}
	}
	return true, nil
}

// publish moves a complete group from the stage to its place, and retires what
// was there.
func (b *box) publish(g int, top *os.File, folder bool) error {
	target := b.tree[g].Target
	for {
		old, lies, err := b.lying(target)
		if err != nil {
			return err
		}
		if !lies {
			break
		}
		if b.in.AttachBeneath(top, old) == nil {
			err := b.retire(old)
			_ = old.Close()
			return err
		}
		err = b.retire(old)
		_ = old.Close()
		if err != nil {
			return err
		}
	}
	if !standing[target] {
		_ = b.dropPlace(target) // it may be a file where a folder is needed
		if err := b.makeInSkeleton(target, folder); err != nil {
			return err
		}
	}
	place, err := b.view.Open(target)
	if err != nil {
		return fmt.Errorf("find %s in the sandbox: %w", target, err)
	}
	defer func() { _ = place.Close() }()
	return b.in.Attach(top, place)
}

// lying opens the uppermost mount at target, and reports whether there is one
// beside the sandbox's base.
func (b *box) lying(target string) (*os.File, bool, error) {
	rows, err := b.view.Table()
	if err != nil {
		return nil, false, err
	}
	base := baseRows(rows)
	for _, r := range rows {
		if r.Point != target || base[r.ID] {
			continue
		}
		f, err := b.at(r)
		if err != nil {
			return nil, false, err
		}
		if f != nil {
			return f, true, nil
		}
	}
	return nil, false, nil
}

// uncover takes away what was mounted on one of ours, which shows again then.
func (b *box) uncover(s *sight) (did bool, err error) {
	for _, j := range s.extras {
		r := s.rows[j]
		for i, w := range b.tree {
			if of := s.of[i]; of >= 0 && s.rows[of].ID == r.Parent && r.Point == w.Target {
				gone, err := b.remove(s, j)
				if err != nil {
					return did, err
				}
				did = did || gone
			}
		}
	}
	return did, nil
}

// drop takes away what nobody wants: outer mounts first, with all that is on
// them.
func (b *box) drop(ctx context.Context, s *sight) error {
	extra := map[uint64]bool{}
	for _, j := range s.extras {
		extra[s.rows[j].ID] = true
	}
	for _, j := range s.extras {
		if err := ctx.Err(); err != nil {
			return err
		}
		if extra[s.rows[j].Parent] {
			// It goes with that one, unless it hides it from us.
			if f, err := b.at(s.parent(j)); err != nil || f != nil {
				if f != nil {
					_ = f.Close()
				}
				if err != nil {
					return err
				}
				continue
			}
		}
		if _, err := b.remove(s, j); err != nil {
			return err
		}
	}
	return nil
}

func (s *sight) parent(j int) mountns.Row {
	for _, r := range s.rows {
		if r.ID == s.rows[j].Parent {
			return r
		}
	}
	return mountns.Row{}
}

// remove takes away row j, if it can be reached.
func (b *box) remove(s *sight, j int) (bool, error) {
	f, err := b.at(s.rows[j])
	if err != nil || f == nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	if !s.children(j) {
		err = b.in.Detach(f)
	} else {
		err = b.retire(f)
	}
	if err != nil {
		return false, err
	}
	if !b.nested(s, j) {
		return true, b.dropPlace(s.rows[j].Point)
	}
	return true, nil
}

// nested reports whether row j lies on another mount of the tree.
func (b *box) nested(s *sight, j int) bool { return s.parent(j).ID != 0 }
