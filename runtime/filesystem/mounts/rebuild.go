//go:build linux

package mounts

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

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
	if b.shows(b.tree[g]) {
		if err := b.door.mark(top); err != nil {
			return err
		}
	}
	if err := b.in.Attach(top, place); err != nil {
		return err
	}
	if err := b.furnish(ctx, g); err != nil {
		return err
	}
	return b.publish(g, top, folder)
}

// furnish mounts all that belongs on the top of a group on the stage.
func (b *box) furnish(ctx context.Context, g int) error {
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
	if ok, err := b.complete(g); err != nil || !ok {
		return cmp.Or(err, errRaced) // somebody inside renamed a folder meanwhile
	}
	return ctx.Err()
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
		if root(b.tree, i) == g && !w.lost && !at[where(w.Target)] {
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
