package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
)

// snapshotsCmd lists snapshots, or does something to them.
type snapshotsCmd struct {
	List   snapshotsListCmd   `cmd:"" default:"withargs" help:"List the snapshots of this project."`
	Rm     snapshotsRmCmd     `cmd:"" help:"Remove snapshots, and free their disk."`
	Diff   snapshotsDiffCmd   `cmd:"" help:"Compare two snapshots: policy, packages and files."`
	Export snapshotsExportCmd `cmd:"" help:"Write a snapshot to an archive, for blast load elsewhere."`
}

type snapshotsListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// listed is a snapshot as snapshots --json prints it.
type listed struct {
	Name        string    `json:"name"`
	Digest      string    `json:"digest"`
	Size        int64     `json:"size"` // bytes, compressed
	Made        time.Time `json:"made"` // when it came into this project
	Environment string    `json:"environment"`
	Serial      uint64    `json:"serial"`
	Files       int64     `json:"files"`
	Blast       string    `json:"blast"`
}

// Run lists what is there, the newest last. It takes no lock.
func (cmd *snapshotsListCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	all, err := listSnapshots(env.Project)
	if err != nil && len(all) == 0 {
		return err
	}
	if err != nil {
		u.say("blast: %v", err)
	}
	if cmd.JSON {
		return u.answer(all)
	}
	if len(all) == 0 {
		return printAll(u.out, []byte("No snapshots in this project. To make one: blast save NAME\n"))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %-16s %10s %8s  %-12s  %s\n", "NAME", "MADE", "SIZE", "FILES", "DIGEST", "OF")
	for _, s := range all {
		fmt.Fprintf(&b, "%-20s %-16s %10s %8d  %-12s  generation %d of %s\n", s.Name, when(s.Made), block.FormatSize(roundSize(s.Size)), s.Files,
			strings.TrimPrefix(s.Digest, "sha256:")[:12], s.Serial, cell(s.Environment))
	}
	return printAll(u.out, []byte(b.String()))
}

// listSnapshots reads all that can be read; the error is about the rest.
func listSnapshots(project string) ([]listed, error) {
	out := []listed{}
	s, err := openSnapshots(project)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer func() { _ = s.Close() }()
	all, err := s.List()
	errs := []error{err}
	for _, one := range all {
		r, err := s.Record(one)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, listed{one.Name, one.Digest.String(), one.Size, one.Made, r.Environment, r.Serial, one.Layer.Entries, r.Blast})
	}
	return out, errors.Join(errs...)
}

type snapshotsRmCmd struct {
	Names []string `arg:"" help:"Names of snapshots."`
}

// Run removes all of them, or none.
func (cmd *snapshotsRmCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	freed, err := snapshot.Remove(env.Project, cmd.Names...)
	if err != nil {
		return err
	}
	return printAll(u.out, fmt.Appendf(nil, "Removed %s: %s are free.\n", strings.Join(cmd.Names, ", "), block.FormatSize(roundSize(freed))))
}

type snapshotsExportCmd struct {
	Name string `arg:"" help:"Name of a snapshot."`
	File string `arg:"" help:"The archive to write: an OCI image layout in a tar file."`
}

// Run writes an archive.
func (cmd *snapshotsExportCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	return u.export(ctx, env, cmd.Name, cmd.File)
}

// export writes a snapshot to a file that is the person's alone, whole or not at all.
func (u *ui) export(ctx context.Context, env state.Env, name, file string) error {
	s, err := openSnapshots(env.Project)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %q; none was saved in this project", snapshot.ErrNone, name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	one, err := s.Find(name)
	if err != nil {
		return err
	}
	u.tick(fmt.Sprintf("writing %s, %d MiB", file, one.Size>>20))
	defer u.untick()
	return writeInPlace(file, env.UID, env.GID, func(f *os.File) error { return s.Export(ctx, one, f) })
}

// writeInPlace is replaceFile for what is too large to be held.
func writeInPlace(path string, uid, gid int, write func(*os.File) error) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	base, draft := filepath.Base(path), ".blast-"+rand.Text()
	if fi, err := root.Lstat(base); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is there, and is no file", path)
	}
	f, err := root.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil && uid != os.Geteuid() {
		err = f.Chown(uid, gid)
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(draft, base)
	}
	if err != nil {
		_ = root.Remove(draft)
	}
	return err
}
