//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// A box is a running sandbox, opened to look at its mounts and to change them,
// with what its mounts are made of. Whatever it opens it closes in the end.
type box struct {
	env  state.Env
	id   string
	pid  int
	tree []want

	door *door // that is asked about opens of files of the host; nil: none

	layerID string // which layer the tree's is

	user, group uint32 // of the sandbox's user, on the host
	view        *mountns.View
	in          *mountns.Inside // nil if the box was opened only to look
	owners      *os.File        // user namespace; see userNS
	raws        map[int]*os.File
	layer       *os.File // root of the layer in the stage
	open        []io.Closer
}

// enter opens sandbox id to change its mounts. ErrNotRunning is that of package
// sandbox.
func enter(ctx context.Context, env state.Env, id string) (*box, error) {
	b, err := look(ctx, env, id)
	if err != nil {
		return nil, err
	}
	if b.in, err = mountns.Enter(b.pid); err != nil {
		b.close()
		return nil, err
	}
	b.open = append(b.open, b.in)
	return b, nil
}

// look opens sandbox id to read its mounts.
func look(ctx context.Context, env state.Env, id string) (*box, error) {
	if !sandbox.IsID(id) {
		return nil, fmt.Errorf("%w: no sandbox is named", sandbox.ErrNotRunning)
	}
	s, err := sandbox.Load(ctx, env, id)
	if err != nil {
		return nil, err
	}
	return lookAt(env, s)
}

func lookAt(env state.Env, s *sandbox.Sandbox) (*box, error) {
	b := &box{env: env, id: s.ID, pid: s.PID(), raws: map[int]*os.File{}}
	p, err := s.Proc()
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.Close() }()
	status, err := p.ReadFile("status")
	if err != nil {
		return nil, fmt.Errorf("%w: init has ended", sandbox.ErrNotRunning)
	}
	if b.user, err = realID(string(status), "Uid:"); err != nil {
		return nil, err
	}
	if b.group, err = realID(string(status), "Gid:"); err != nil {
		return nil, err
	}
	if b.view, err = mountns.Look(b.pid); err != nil {
		return nil, err
	}
	b.open = append(b.open, b.view)
	if again, err := s.Proc(); err != nil { // what was opened by number is what was loaded
		b.close()
		return nil, err
	} else {
		_ = again.Close()
	}
	return b, nil
}

// realID reads a real id of proc_pid_status(5), as the host counts.
func realID(status, key string) (uint32, error) {
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			n, err := strconv.ParseUint(f[1], 10, 32)
			return uint32(n), err
		}
	}
	return 0, errors.New("read ids of init: malformed status")
}

func (b *box) close() {
	for i := len(b.open) - 1; i >= 0; i-- {
		_ = b.open[i].Close()
	}
	b.open = nil
}

// keep closes f with the box.
func (b *box) keep(f *os.File) *os.File {
	b.open = append(b.open, f)
	return f
}

// scope returns what closes everything that is opened from now on.
func (b *box) scope() func() {
	n, owners, layer := len(b.open), b.owners, b.layer
	return func() {
		for i := len(b.open) - 1; i >= n; i-- {
			_ = b.open[i].Close()
		}
		b.open, b.owners, b.layer, b.raws = b.open[:n], owners, layer, map[int]*os.File{}
	}
}

// want sets what must be mounted, and of which layer.
func (b *box) want(ws []want, layerID string) {
	b.tree, b.layerID = ws, layerID
	b.raws = map[int]*os.File{}
}

// userNS maps the person, to whom everything on disk belongs, to the sandbox's
// user. Making one takes a process, so it is made only when it is needed.
func (b *box) userNS() (*os.File, error) {
	if b.owners != nil {
		return b.owners, nil
	}
	f, err := mountns.IDMap{DiskUID: uint32(b.env.UID), DiskGID: uint32(b.env.GID), HostUID: b.user, HostGID: b.group}.UserNS()
	if err != nil {
		return nil, err
	}
	b.owners = b.keep(f)
	return f, nil
}
