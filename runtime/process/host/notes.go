//go:build linux

package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// What commands start with, and which sandbox they go to. Package command reads
// both.
const (
	environmentNote = followed("process")
	socketNote      = followed("process-socket")
)

// A followed note is one that commands follow, with another one beside it while an
// apply is not final: that says what was applied.
type followed string

// read reads what was applied last.
func (n followed) read(env state.Env, v any) (bool, error) {
	ok, err := env.ReadNote(command.AppliedName(string(n)), v)
	if ok || err != nil {
		return ok, err
	}
	return env.ReadNote(command.NoteName(string(n)), v)
}

// apply notes what was applied. Commands don't follow yet.
func (n followed) apply(env state.Env, v any) error {
	return env.WriteNote(command.AppliedName(string(n)), v)
}

// commit lets commands follow v, if it was applied and they don't yet: after a
// reboot nothing is applied.
func (n followed) commit(env state.Env, v any) error {
	var was json.RawMessage
	if ok, err := env.ReadNote(command.AppliedName(string(n)), &was); !ok || err != nil {
		return err
	}
	if err := env.WriteNote(command.NoteName(string(n)), v); err != nil {
		return err
	}
	return env.DropNote(command.AppliedName(string(n)))
}

// drop leaves nothing to follow.
func (n followed) drop(env state.Env) error {
	return errors.Join(env.DropNote(command.NoteName(string(n))), env.DropNote(command.AppliedName(string(n))))
}

// closeTo keeps commands out of a sandbox that is about to be made: what died may be
// noted still.
func closeTo(env state.Env, id string) error {
	var d destination
	ok, err := env.ReadNote(command.NoteName(string(socketNote)), &d)
	if err != nil || !ok || sandbox.IDOfSocket(d.Socket) != id {
		return err
	}
	return env.DropNote(command.NoteName(string(socketNote)))
}

// attrsNote is what sandbox id was made of.
func attrsNote(id string) string { return attrsPrefix + id }

const attrsPrefix = "sandbox-"

func writeAttrs(env state.Env, id string, attrs json.RawMessage) error {
	return env.WriteNote(attrsNote(id), attrs)
}

// readAttrs reads what the sandbox was made of, and reports whether the note is
// there and is the one that belongs to the id.
func readAttrs(env state.Env, id string) (json.RawMessage, bool, error) {
	if id == "" {
		return nil, false, nil
	}
	var attrs json.RawMessage
	ok, err := env.ReadNote(attrsNote(id), &attrs)
	if err != nil || !ok || plan.Digest(attrs) != id {
		return nil, false, err
	}
	return attrs, true, nil
}

// A destination is the part of command.Defaults that says where commands go.
type destination struct {
	Socket string `json:"socket"`
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
}

func destinationOf(env state.Env, id string, s process.Sandbox) destination {
	return destination{Socket: sandbox.SocketPath(env, id), UID: s.UID, GID: s.GID}
}

// destroy ends a sandbox and forgets what it was made of, in this order: as long
// as anything is left, the note is, too.
func destroy(ctx context.Context, env state.Env, id string) error {
	if err := sandbox.Destroy(ctx, env, id); err != nil {
		return err
	}
	return env.DropNote(attrsNote(id))
}

// destroyAllBut ends every sandbox of env but one, also those of which only a
// part was made. It goes on after a failure.
func destroyAllBut(ctx context.Context, env state.Env, keep string) error {
	ids, err := sandbox.List(env)
	if err != nil {
		return err
	}
	noted, err := noted(env)
	if err != nil {
		return err
	}
	ids = append(ids, noted...)
	slices.Sort(ids)
	var errs []error
	for _, id := range slices.Compact(ids) {
		if id != keep {
			errs = append(errs, destroy(ctx, env, id))
		}
	}
	return errors.Join(errs...)
}

// noted lists the sandboxes that have a note.
func noted(env state.Env) ([]string, error) {
	es, err := os.ReadDir(env.Run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	var ids []string
	for _, e := range es {
		id, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".json"), attrsPrefix)
		if ok && sandbox.IsID(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// dropDrafts removes what a process that died while it wrote a note of ours has
// left: WriteNote writes .NAME.json.RANDOM first.
func dropDrafts(env state.Env) error {
	names := []string{attrsPrefix + "*", sandbox.IDsNote}
	for _, n := range []followed{environmentNote, socketNote} {
		names = append(names, command.NoteName(string(n)), command.AppliedName(string(n)))
	}
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(env.Run, "."+name+".json.*"))
		if err != nil {
			return fmt.Errorf("list drafts of notes: %w", err)
		}
		for _, f := range found {
			if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove draft of a note: %w", err)
			}
		}
	}
	return nil
}
