//go:build linux

package mounts

import (
	"context"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

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
