//go:build linux

package mounts

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

var _ kinds.Measurer = (*Host)(nil)

// sector is the unit in which stat(2) counts blocks, in bytes.
const sector = 512

// Measure implements kinds.Measurer: how large the writable layer may be, how much
// of the host's disk it takes, and what is in the file systems that commands can fill.
func (*Host) Measure(ctx context.Context, env state.Env, v *state.Vitals) error {
	if err := measureLayer(env, v); err != nil {
		return err
	}
	var err error
	v.Rooms, err = rooms(ctx, env)
	if errors.Is(err, sandbox.ErrNotRunning) {
		return nil
	}
	return err
}

func measureLayer(env state.Env, v *state.Vitals) error {
	path := images{env}.path(current)
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	v.Layer = &state.Space{Used: st.Blocks * sector, Max: st.Size}
	return nil
}

// rooms are the layer and each tmpfs of the sandbox that was applied last.
func rooms(ctx context.Context, env state.Env) ([]state.Room, error) {
	t, ok, err := Applied(env)
	if err != nil || !ok {
		return nil, err
	}
	b, err := look(ctx, env, t.Sandbox)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var out []state.Room
	layer := false
	for _, m := range t.Mounts {
		name := m.Name
		switch {
		case m.Type == filesystem.Layer && !layer:
			layer, name = true, "size"
		case m.Type != filesystem.Tmpfs:
			continue
		}
		r, ok, err := b.room(m.Target)
		if err != nil {
			return nil, err
		}
		if ok {
			r.Name = name
			out = append(out, r)
		}
	}
	return out, nil
}

// room measures what is mounted at a path. What can't be reached any more is drift, and
// told as that.
func (b *box) room(target string) (state.Room, bool, error) {
	f, err := b.view.Open(target)
	if err != nil {
		return state.Room{}, false, nil
	}
	defer func() { _ = f.Close() }()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return state.Room{}, false, &fs.PathError{Op: "statfs", Path: target, Err: err}
	}
	return state.Room{
		Path: target, Used: int64(st.Blocks-min(st.Bavail, st.Blocks)) * st.Bsize, Max: int64(st.Blocks) * st.Bsize,
		Inodes: int64(st.Files - min(st.Ffree, st.Files)), Most: int64(st.Files), Memory: st.Type == unix.TMPFS_MAGIC,
	}, true, nil
}

// Phase implements kinds.Phaser.
func (*Host) Phase() string { return "configuring filesystem" }
