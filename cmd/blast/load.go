package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
	"blast.example/blast/state/snapshot"
)

type loadCmd struct {
	Name        string        `arg:"" optional:"" help:"Name of a snapshot, or an archive of blast save --output (FILE.tar)."`
	Input       string        `placeholder:"FILE.tar" help:"Take the snapshot from this archive, and keep it."`
	As          string        `placeholder:"NAME" help:"Keep the snapshot of an archive under another name."`
	Out         string        `placeholder:"FILE" help:"Save the plan, for blast apply FILE, and change nothing."`
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	reportFlags
}

// Run makes the environment what a snapshot says: a plan like any other. It needs no
// readable blast.hcl, and changes none.
func (cmd *loadCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if cmd.Input == "" && snapshot.IsArchive(cmd.Name) {
		cmd.Name, cmd.Input = "", cmd.Name
	}
	switch {
	case cmd.Name == "" && cmd.Input == "":
		return u.misused("say which snapshot to load: its name (blast snapshots), or an archive FILE.tar")
	case cmd.As != "" && cmd.Input == "":
		return u.misused("--as is for an archive")
	}
	if err := cmd.begin(u); err != nil {
		return err
	}
	m, err := u.planning(g, plan.Load, "blast load")
	if err != nil {
		return err
	}
	m.of, m.wait = cmd.Name, cmd.LockTimeout
	undo := func() {}
	if cmd.Input != "" {
		if m.of, undo, err = cmd.take(ctx, u, m); err != nil {
			return err
		}
	}
	if err := cmd.load(ctx, u, m, g); err != nil {
		undo()
		return err
	}
	return nil
}

func (cmd *loadCmd) load(ctx context.Context, u *ui, m *planning, g *Globals) error {
	p, err := m.make(ctx)
	if err != nil {
		return err
	}
	if cmd.Out != "" {
		if err := savePlan(cmd.Out, p.Plan); err != nil {
			return err
		}
		return errors.Join(cmd.show(u, p.Plan), cmd.files(u, p.Plan), cmd.review(u, view.Review{Plan: p.Plan, Saved: cmd.Out}))
	}
	a := applyCmd{AutoApprove: cmd.AutoApprove, reportFlags: cmd.reportFlags}
	return a.apply(ctx, m, p, "Load", g)
}

// take puts the snapshot of an archive into the project's store. It returns its name
// there, and what takes it out again if it was not there before.
func (cmd *loadCmd) take(ctx context.Context, u *ui, m *planning) (name string, undo func(), err error) {
	f, err := os.OpenFile(cmd.Input, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to is empty
	if err != nil {
		return "", nil, fmt.Errorf("read archive: %w", err)
	}
	defer func() { _ = f.Close() }()
	w, err := snapshot.Write(m.env.Project)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = w.Close() }()
	in, err := w.Read(ctx, f, cmd.Name, func(n int64) { u.tick(fmt.Sprintf("checking the archive, %d MiB", n>>20)) })
	u.untick()
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", cmd.Input, err)
	}
	defer func() { _ = in.Close() }()
	if name = in.Name; cmd.As != "" {
		name = cmd.As
	}
	_, known := w.Find(name)
	if _, err := w.Keep(name, in); errors.Is(err, snapshot.ErrThere) {
		return "", nil, fmt.Errorf("%w, of other content: choose another with --as NAME", err)
	} else if err != nil {
		return "", nil, err
	}
	return name, func() {
		if known != nil {
			_, _ = snapshot.Remove(m.env.Project, name)
		}
	}, nil
}

// snapshot is what a load wants: the objects of the snapshot as this project's, and its
// layer. They may be a stranger's, so they are read as a blast.hcl that says the same.
func (m *planning) snapshot(ctx context.Context, look wire.LookResult) ([]plan.Object, string, error) {
	one, r, err := m.find()
	if err != nil {
		return nil, "", err
	}
	text, err := words.Text(m.env.Name, r.Objects)
	if err != nil {
		return nil, "", fmt.Errorf("snapshot %s, saved by blast %.40q: %w", m.of, r.Blast, err)
	}
	f, diags := config.LoadText(m.env.Project, "snapshot-"+m.of, text, config.Options{
		Words: words.ForConfig(), Version: release.Version, UID: m.env.UID, GID: m.env.GID,
	})
	if diags.HasErrors() {
		return nil, "", &configError{diags, f.Sources}
	}
	m.u.diagnostics(f.Sources, diags)
	m.p = &project{file: f, env: m.env, conf: f.Environments[0]}
	if m.p.conf.Objects, err = words.Complete(m.p.conf.Objects, r.Objects); err != nil {
		return nil, "", fmt.Errorf("snapshot %s: %w", m.of, err)
	}
	l := filesystem.NewLayer(one.Layer.Blob.String(), m.of, look.Lineage, look.Serial)
	m.p.conf.Objects = filesystem.WithLayer(m.p.conf.Objects, l)
	settled := slices.DeleteFunc(slices.Clone(r.Objects), func(o plan.Object) bool { return o.Addr != packages.SetAddr })
	objs, err := m.u.settle(ctx, m.p, kinds.ResolveInput{Recorded: look.Recorded, Settled: settled, Of: "snapshot " + m.of}, []string{process.SandboxAddr})
	return objs, one.Digest.String(), err
}

// find opens the snapshot that is to be loaded.
func (m *planning) find() (snapshot.Snapshot, snapshot.Record, error) {
	s, err := openSnapshots(m.env.Project)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %q; none was saved in this project", snapshot.ErrNone, m.of)
	}
	if err != nil {
		return snapshot.Snapshot{}, snapshot.Record{}, err
	}
	defer func() { _ = s.Close() }()
	one, err := s.Find(m.of)
	if err != nil {
		return one, snapshot.Record{}, err
	}
	r, err := s.Record(one)
	return one, r, err
}

func openSnapshots(project string) (*snapshot.Store, error) {
	s, err := snapshot.Open(project)
	if errors.Is(err, fs.ErrPermission) {
		err = client.ErrPrivilege
	}
	return s, err
}
