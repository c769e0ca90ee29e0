//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// Check implements kinds.Checker. What can be tried is tried, on mounts that
// nobody ever sees.
func (h *Host) Check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, filesystem.TreeAddr, func(t filesystem.Tree) ([]kinds.Problem, error) {
		ws, err := expand(t.In(env.Project))
		if err != nil {
			return nil, fmt.Errorf("check mounts: %w", err)
		}
		ps, err := checkTree(env, t, ws)
		if err != nil {
			return nil, err
		}
		found, err := checkPatterns(ctx, env, t)
		return append(ps, found...), err
	})
}

func checkTree(env state.Env, t filesystem.Tree, ws []want) ([]kinds.Problem, error) {
	var ps []kinds.Problem
	if hasLayers(t) {
		found, err := checkLayer(env, t)
		if err != nil {
			return nil, err
		}
		ps = append(ps, found...)
	}
	for i, w := range ws {
		var p *kinds.Problem
		var err error
		switch {
		case w.Type == filesystem.Bind:
			p, err = checkBind(env, w)
		case w.mask() && w.base >= 0 && ws[w.base].Type == filesystem.Bind:
			p, err = checkMask(env, ws, i)
		}
		if err != nil {
			return nil, err
		}
		if p != nil {
			ps = append(ps, *p)
		}
	}
	return ps, nil
}

func problem(item, fix, reason string, args ...any) *kinds.Problem {
	return &kinds.Problem{Addr: filesystem.TreeAddr, Item: item, Reason: fmt.Sprintf(reason, args...), Fix: fix}
}

// checkLayer says why the layer can't be made, or not given its size.
func checkLayer(env state.Env, t filesystem.Tree) ([]kinds.Problem, error) {
	b, err := backingOf(env)
	if err != nil {
		return nil, err
	}
	have, ok, err := b.look(current)
	if err != nil {
		return nil, err
	}
	if ok && have.id == t.Layer.ID {
		return b.fits(have, t)
	}
	return slices.Concat(chosen(b), roomFor(b, t), checkContent(env, t)), nil
}

// roomFor tells of an image that may grow larger than what its disk has free.
func roomFor(b backing, t filesystem.Tree) []kinds.Problem {
	x, ok := b.(images)
	var st unix.Statfs_t
	if !ok || unix.Statfs(x.env.Dir, &st) != nil && unix.Statfs(x.env.Project, &st) != nil {
		return nil
	}
	free := int64(st.Bavail) * st.Bsize
	if free >= t.LayerSize {
		return nil
	}
	p := problem("size", "Free some space, or write less.", "the disk of %s has %s free, less than the writable layer may have: commands stand still when the disk is short of room",
		x.env.Project, block.FormatSize(free>>20<<20))
	p.Note = true
	return []kinds.Problem{*p}
}

// chosen tells of a layer that would not be made of what it is made of as a rule, or could
// not be made at all.
func chosen(b backing) []kinds.Problem {
	lacking := layerTools(imageTools...)
	if _, memory := b.(memories); !memory || len(lacking) == 0 {
		return lacking
	}
	p := *problem("size", lacking[0].Fix, "what commands write outside of the workspace and mounts is kept in memory, counts as memory of the sandbox, and is gone when the machine restarts: %s", lacking[0].Reason)
	p.Note = true
	return []kinds.Problem{p}
}

// checkContent says why a layer can't be made from a snapshot.
func checkContent(env state.Env, t filesystem.Tree) []kinds.Problem {
	if t.Layer.ID == "" {
		return nil
	}
	l, s, err := content(env, t)
	if err != nil {
		return []kinds.Problem{*problem("layer", "Load another snapshot, or run blast destroy and apply: then the layer is empty.",
			"the writable layer is not there, and can't be made again from snapshot %s: %v", t.Layer.Snapshot, err)}
	}
	_ = s.Close()
	if l.Bytes > t.LayerSize+l.Entries*entryOverhead {
		return []kinds.Problem{*problem("size", "Give the layer a larger size.", "the files of snapshot %s have %s, and the writable layer %s", t.Layer.Snapshot, block.FormatSize(l.Bytes), block.FormatSize(t.LayerSize))}
	}
	return nil
}

// entryOverhead is what an entry takes in an archive beside its content, at most as
// a rule, in bytes.
const entryOverhead = 4 << 10

// layerTools says which programs and devices the layer needs and this host lacks.
func layerTools(names ...string) []kinds.Problem {
	var ps []kinds.Problem
	for _, name := range names {
		if _, err := findTool(name); err != nil {
			ps = append(ps, *problem("size", "Install e2fsprogs.", "the writable layer is an ext4 image, and there is no %s", name))
		}
	}
	f, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return append(ps, *problem("size", "Load the loop module (modprobe loop), or give this machine /dev/loop-control.", "the writable layer is an ext4 image, and there are no loop devices: %v", err))
	}
	_ = f.Close()
	return ps
}

// checkBind tries to map the owners of a source, on a mount that nobody sees.
func checkBind(env state.Env, w want) (*kinds.Problem, error) {
	src, err := openSource(env, w.Mount)
	if err != nil {
		return problem(w.Name, "Correct the source.", "%v", err), nil // that is what is told
	}
	defer func() { _ = src.Close() }()
	owners, err := mountns.IDMap{DiskUID: uint32(env.UID), DiskGID: uint32(env.GID), HostUID: probeID, HostGID: probeID}.UserNS()
	if err != nil {
		return nil, fmt.Errorf("check mounts: %w", err)
	}
	defer func() { _ = owners.Close() }()
	m, err := mountns.Clone(src, mountns.Attr{UserNS: owners})
	if err == nil && w.overlay() {
		defer func() { _ = m.Close() }()
		return checkOverlay(w, m, src), nil
	}
	if err == nil {
		return nil, m.Close()
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("check mounts: %w", err)
	}
	return problem(w.Name, "Move it to ext4, xfs, btrfs or tmpfs, or use a newer kernel.",
		"%s lies on %s, which can't show the person's files as the sandbox's user's on this kernel (idmapped mounts)", w.Source, typeOf(src)), nil
}

// checkOverlay tries to lay an overlay over a source.
func checkOverlay(w want, m, src *os.File) *kinds.Problem {
	err := mountns.TryOverlay(m)
	if err == nil {
		return nil
	}
	return problem(w.Name, "Write access = \"rw\" or \"ro\", load the overlay module (modprobe overlay), or use Linux 5.19 or newer with the project on ext4, xfs, btrfs or tmpfs.",
		"access = \"overlay\" takes an overlayfs over %s, which lies on %s, and this host can't make one: %v", w.Source, typeOf(src), err)
}

// probeID is some id that sandboxes have.
const probeID = 0x7000_0000

// typeOf names the type of the file system that f lies on.
func typeOf(f *os.File) string {
	id, _, err := mountns.ID(f)
	if err != nil {
		return "a file system"
	}
	rows, err := mountns.OwnTable()
	if err != nil {
		return "a file system"
	}
	for _, r := range rows {
		if r.ID == id {
			return r.Type
		}
	}
	return "a file system"
}

// checkMask looks for what would be in the way of a protection.
func checkMask(env state.Env, ws []want, i int) (*kinds.Problem, error) {
	w, base := ws[i], ws[ws[i].base]
	src, err := openSource(env, base.Mount)
	if err != nil {
		return nil, nil // told for the bind itself
	}
	defer func() { _ = src.Close() }()
	rel := strings.TrimPrefix(w.Target, base.Target+"/")
	f, err := mountns.OpenAt(src, rel, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		err = (&box{env: env}).obstacle(w, err)
	default:
		defer func() { _ = f.Close() }()
		st, serr := mountns.Stat(f)
		if serr != nil {
			return nil, fmt.Errorf("check %s: %w", path.Join(base.Source, rel), serr)
		}
		err = fits(w, st.Mode&unix.S_IFMT)
		if err == nil && w.Type != pin && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
			return otherNames(w.Mount, rel, st.Nlink-1), nil
		}
	}
	var in *ObstacleError
	if !errors.As(err, &in) {
		return nil, err
	}
	return problem(in.Name, capital(in.Fix)+".", "%s %s", path.Join(base.Source, rel), in.Why), nil
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// otherNames says that a protected file has names that may not be protected.
func otherNames(m filesystem.Mount, rel string, others uint64) *kinds.Problem {
	does := map[string]string{filesystem.Hide: "read", filesystem.ReadOnly: "written"}[m.Type]
	return note(m.Name, "%s has %d other names (hard links): by one that the sandbox sees and no line protects it can be %s", rel, others, does)
}

// note is something to be said of a tree that can be made.
func note(item, text string, args ...any) *kinds.Problem {
	return &kinds.Problem{Addr: filesystem.TreeAddr, Item: item, Reason: fmt.Sprintf(text, args...), Note: true}
}
