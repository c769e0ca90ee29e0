//go:build linux

package mounts

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

var _ kinds.Measurer = (*Host)(nil)

// sector is the unit in which stat(2) counts blocks, in bytes.
const sector = 512

// Measure implements kinds.Measurer: how large the writable layer may be, and how much
// of the host's disk it takes.
func (*Host) Measure(_ context.Context, env state.Env, v *state.Vitals) error {
	var st unix.Stat_t
	err := unix.Lstat(images{env}.path(current), &st)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "stat", Path: images{env}.path(current), Err: err}
	}
	v.Layer = &state.Space{Used: st.Blocks * sector, Max: st.Size}
	return nil
}

// Phase implements kinds.Phaser.
func (*Host) Phase() string { return "configuring filesystem" }
