package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config/block"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
)

type saveCmd struct {
	Name          string        `arg:"" help:"Name of the snapshot."`
	Output        string        `placeholder:"FILE.tar" help:"Write it to an archive, too, for blast load elsewhere."`
	Replace       bool          `help:"Take the place of a snapshot of that name."`
	FreezeTimeout time.Duration `default:"30s" placeholder:"TIME" help:"For how long commands may stand still while their files are copied; if it takes longer, nothing is saved."`
	LockTimeout   time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	JSON          bool          `name:"json" help:"Print the result as JSON."`
}

// savedSnapshot is what save --json prints.
type savedSnapshot struct {
	Name       string `json:"name"`
	Serial     uint64 `json:"serial"`
	wireResult        // flat
}

type wireResult = wire.SaveResult

// Run saves what is recorded and what commands have written.
func (cmd *saveCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	if err := snapshot.CheckName(cmd.Name); err != nil {
		return u.misused("%v", err)
	}
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	res, err := cmd.save(ctx, u, env)
	u.untick()
	if err != nil {
		return err
	}
	if cmd.Output != "" {
		if err := u.export(ctx, env, cmd.Name, cmd.Output); err != nil {
			return fmt.Errorf("%w; the snapshot %s is saved: blast snapshots export %s FILE.tar", err, cmd.Name, cmd.Name)
		}
	}
	if cmd.JSON {
		return u.answer(res)
	}
	return printAll(u.out, []byte(cmd.story(res)))
}

func (cmd *saveCmd) save(ctx context.Context, u *ui, env state.Env) (*savedSnapshot, error) {
	c, err := u.client()
	if err != nil {
		return nil, err
	}
	by := wire.Caller{Command: "blast save", PID: os.Getpid(), Wait: cmd.LockTimeout}
	var look wire.LookResult
	if err := c.Call(ctx, wire.Look, wire.LookParams{Env: env, Records: true, Caller: by}, &look, u.event); err != nil {
		return nil, err
	}
	if len(look.Recorded) == 0 {
		return nil, fmt.Errorf("nothing is recorded for environment %s: there is nothing to save", env.Name)
	}
	record, err := recordOf(env, look)
	if err != nil {
		return nil, err
	}
	u.talkOnInterrupt = true
	before := cmd.stored(env.Project)
	res := &savedSnapshot{Name: cmd.Name, Serial: look.Serial}
	err = c.Call(ctx, wire.Save, wire.SaveParams{Env: env, Name: cmd.Name, Record: record, Replace: cmd.Replace, Within: cmd.FreezeTimeout, Caller: by}, &res.wireResult, u.event)
	var answered *wire.Error
	if err != nil && !errors.As(err, &answered) {
		// The daemon may have died while commands stood still: another one lets them go on.
		_ = c.Call(context.WithoutCancel(ctx), wire.Hello, nil, nil, nil)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if now := cmd.stored(env.Project); errors.Is(err, client.ErrDied) && now.Digest != before.Digest {
		u.say("blast: %v, after it had stored the snapshot", err)
		res.wireResult = wireResult{Digest: now.Digest.String(), Size: now.Layer.Size, Bytes: now.Layer.Bytes, Entries: now.Layer.Entries}
		return res, nil
	}
	return res, err
}

// stored is the snapshot that has the name; the zero value is none.
func (cmd *saveCmd) stored(project string) snapshot.Snapshot {
	s, err := snapshot.Open(project)
	if err != nil {
		return snapshot.Snapshot{}
	}
	defer func() { _ = s.Close() }()
	found, err := s.Find(cmd.Name)
	if err != nil {
		return snapshot.Snapshot{}
	}
	return found
}

// recordOf is what a snapshot says of the recorded state.
func recordOf(env state.Env, look wire.LookResult) (json.RawMessage, error) {
	objs, err := words.Leave(look.Recorded, kinds.Place{Project: env.Project, UID: env.UID, GID: env.GID})
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(snapshot.Record{
		Version: snapshot.Version, Blast: release.Version, Environment: env.Name,
		Lineage: look.Lineage, Serial: look.Serial, Objects: objs,
	})
	if err != nil {
		return nil, fmt.Errorf("save: %w", err)
	}
	return b, nil
}

func (cmd *saveCmd) story(res *savedSnapshot) string {
	how := fmt.Sprintf("while %s were copied", block.FormatSize(roundSize(res.Copied)))
	if res.Shared {
		how = "while their files were shared with the copy"
	}
	text := fmt.Sprintf("Saved generation %d as %s: %d files and folders, %s (%s compressed).\n", res.Serial, res.Name, res.Entries, block.FormatSize(roundSize(res.Bytes)), block.FormatSize(roundSize(res.Size)))
	if res.Frozen > 0 { // else the daemon that knew it is gone
		text += fmt.Sprintf("Commands stood still for %s %s.\n", res.Frozen.Round(time.Millisecond), how)
	}
	if res.Sockets > 0 {
		text += fmt.Sprintf("Left out: %d sockets, which nobody listens on any more.\n", res.Sockets)
	}
	return text + fmt.Sprintf("To go back to it: blast load %s\n", res.Name)
}

// roundSize rounds to what a person reads: three digits or so.
func roundSize(n int64) int64 {
	for unit := int64(1 << 30); unit > 1; unit >>= 10 {
		if n >= 10*unit {
			return (n + unit/2) / unit * unit
		}
	}
	return n
}
