//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/runtime/filesystem/overlay/accept"
	"blast.example/blast/runtime/filesystem/overlay/upper"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

var _ kinds.Layered = (*Host)(nil)

// loadedAttr says of an upper layer when it came from a snapshot, in ns after 1970. Nobody but
// root on the host can set it.
const loadedAttr = "trusted.blast.loaded"

// written is what commands wrote over the workspace, opened.
type written struct {
	env   state.Env
	space filesystem.Mount
	kept  []string // paths in it that are none of the overlay's to change
	// patterns are of more such, which commands may have made themselves.
	patterns []filesystem.Pattern

	upper, lower *os.File
	merged       *os.File // nil if no sandbox has it mounted
	open         []*os.File
	box          *box
	leave        func(context.Context) // the layer
}

func (w *written) close(ctx context.Context) {
	for _, f := range slices.Backward(w.open) {
		_ = f.Close()
	}
	if w.box != nil {
		w.box.close()
	}
	if w.leave != nil {
		w.leave(ctx)
	}
}

// writtenOver opens it. Nothing is an error but fs.ErrNotExist: nobody wrote anything.
func writtenOver(ctx context.Context, env state.Env, objs []plan.Object) (*written, error) {
	t, err := treeOf(objs)
	if err != nil {
		return nil, err
	}
	w := &written{env: env, patterns: t.Patterns}
	for _, m := range t.In(env.Project) {
		rel, inside := strings.CutPrefix(m.Target, filesystem.WorkspaceDir+"/")
		switch {
		case m.Target == filesystem.WorkspaceDir && m.Type == filesystem.Bind:
			w.space = m
		case inside:
			w.kept = append(w.kept, rel)
		}
	}
	if w.space.Source == "" {
		return nil, fmt.Errorf("the environment has no workspace: %w", fs.ErrNotExist)
	}
	if err := w.openAll(ctx, t); err != nil {
		w.close(ctx)
		return nil, err
	}
	return w, nil
}

func treeOf(objs []plan.Object) (t filesystem.Tree, err error) {
	for _, o := range objs {
		if o.Addr == filesystem.TreeAddr {
			err = o.Decode(&t)
		}
	}
	return t, err
}

func (w *written) openAll(ctx context.Context, t filesystem.Tree) error {
	m, err := w.layer(ctx)
	if err != nil {
		return err
	}
	w.open = append(w.open, m)
	if w.upper, err = mountns.OpenAt(m, upperName(w.env, w.space.Source), unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH); err != nil {
		return err
	}
	w.open = append(w.open, w.upper)
	src, err := openSource(w.env, w.space)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	if w.lower, err = mountns.OpenAt(src, ".", unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH); err != nil {
		return err
	}
	w.open = append(w.open, w.lower)
	return w.openMerged(ctx, t)
}

// layer mounts the writable layer where nobody sees it.
func (w *written) layer(ctx context.Context) (*os.File, error) {
	b, err := backingOf(w.env)
	if err != nil {
		return nil, err
	}
	m, leave, err := b.visit(ctx)
	if err == nil {
		w.leave = leave
	}
	return m, err
}

// openMerged opens the workspace as commands see it, if that is an overlay.
func (w *written) openMerged(ctx context.Context, t filesystem.Tree) error {
	if w.space.Access != filesystem.Overlay || t.Sandbox == "" {
		return nil
	}
	b, err := look(ctx, w.env, t.Sandbox)
	if errors.Is(err, sandbox.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	w.box = b
	ws, err := expand(t.In(w.env.Project))
	if err != nil {
		return err
	}
	b.want(ws, t.Layer.ID)
	s, err := b.look()
	if err != nil {
		return err
	}
	i := indexOf(ws, filesystem.WorkspaceDir)
	if i < 0 || s.of[i] < 0 || s.faults[i] == other {
		return nil
	}
	f, err := b.at(s.rows[s.of[i]])
	if f != nil {
		w.merged = f
		w.open = append(w.open, f)
	}
	return err
}

func (w *written) protected(p string) bool {
	if slices.ContainsFunc(w.patterns, func(o filesystem.Pattern) bool {
		_, covered := o.Covers(path.Join(filesystem.WorkspaceDir, p))
		return covered
	}) {
		return true
	}
	return within(p, ".blast") || slices.ContainsFunc(w.kept, func(k string) bool { return within(p, k) })
}

func (w *written) holds(p string) bool {
	return slices.ContainsFunc(w.kept, func(k string) bool { return within(k, p) })
}

func (w *written) changes(ctx context.Context, content bool) ([]overlay.Change, error) {
	r := upper.Reading{Upper: w.upper, Lower: w.lower, Protected: w.protected, Holds: w.holds, Since: loaded(w.upper), Content: content}
	return r.Changes(ctx)
}

// loaded is when an upper layer came from a snapshot; 0 is never.
func loaded(dir *os.File) int64 {
	value := make([]byte, 32)
	n, err := unix.Fgetxattr(int(dir.Fd()), loadedAttr, value)
	if err != nil {
		return 0
	}
	at, err := strconv.ParseInt(string(value[:n]), 10, 64)
	if err != nil {
		return 1 << 62
	}
	return at
}

func (w *written) drop(ctx context.Context, changes []overlay.Change, taken bool) (int, error) {
	d := upper.Drop{Upper: w.upper, Lower: w.lower, Merged: w.merged, UID: w.env.UID, GID: w.env.GID, Taken: taken}
	return d.Drop(ctx, changes)
}

func (w *written) taking() *accept.Taking {
	return &accept.Taking{Dir: w.env.Dir, Project: w.lower, Upper: w.upper, UID: w.env.UID, GID: w.env.GID}
}

// Changes implements kinds.Layered.
func (h *Host) Changes(ctx context.Context, env state.Env, objs []plan.Object, content bool) ([]overlay.Change, error) {
	w, err := writtenOver(ctx, env, objs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	defer w.close(ctx)
	return w.changes(ctx, content)
}

// Take implements kinds.Layered.
func (h *Host) Take(ctx context.Context, env state.Env, objs []plan.Object, choose kinds.Choose) (stay int, err error) {
	return h.with(ctx, env, objs, choose, func(w *written, chosen []overlay.Change) (int, error) {
		t := w.taking()
		if err := t.Take(ctx, chosen); err != nil {
			return 0, err
		}
		return w.finish(context.WithoutCancel(ctx), t, chosen)
	})
}

// finish is what is left to do when changes are in the project.
func (w *written) finish(ctx context.Context, t *accept.Taking, chosen []overlay.Change) (int, error) {
	stay, err := w.drop(ctx, chosen, true)
	if err != nil {
		return stay, fmt.Errorf("the changes are in the project, and the next command takes them out of the layer: %w", err)
	}
	return stay, t.Finish()
}

// Discard implements kinds.Layered.
func (h *Host) Discard(ctx context.Context, env state.Env, objs []plan.Object, choose kinds.Choose) (stay int, err error) {
	return h.with(ctx, env, objs, choose, func(w *written, chosen []overlay.Change) (int, error) {
		return w.drop(ctx, chosen, false)
	})
}

func (h *Host) with(ctx context.Context, env state.Env, objs []plan.Object, choose kinds.Choose, do func(*written, []overlay.Change) (int, error)) (int, error) {
	defer h.lock(env)()
	w, err := writtenOver(ctx, env, objs)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := choose(nil)
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("read layer: %w", err)
	}
	defer w.close(ctx)
	all, err := w.changes(ctx, false)
	if err != nil {
		return 0, err
	}
	chosen, err := choose(all)
	if err != nil {
		return 0, err
	}
	return do(w, chosen)
}

// Half implements kinds.Layered.
func (h *Host) Half(env state.Env) bool { return accept.Under(env.Dir) }

// Recover implements kinds.Layered.
func (h *Host) Recover(ctx context.Context, env state.Env, objs []plan.Object) error {
	defer h.lock(env)()
	w, err := writtenOver(ctx, env, objs)
	if err != nil {
		return fmt.Errorf("go on with an accept that was cut off: %w", err)
	}
	defer w.close(ctx)
	t := w.taking()
	changes, taken, err := t.Recover()
	if err != nil || !taken {
		return err
	}
	_, err = w.finish(ctx, t, changes)
	return err
}

// markLoaded says of the upper layers in a folder that they came from a snapshot now.
func markLoaded(root *os.File, now int64) error {
	r, err := openRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	names, err := fs.Glob(r.FS(), upperPrefix+"*")
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := mountns.OpenAt(root, path.Base(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH)
		if err != nil {
			return err
		}
		err = unix.Fsetxattr(int(f.Fd()), loadedAttr, []byte(strconv.FormatInt(now, 10)), 0)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
