//go:build linux

// Package trial is the half of the check kind that touches the machine. Before an
// apply is final it runs the command of each check in the sandbox that was made,
// and what fails there takes the apply back.
//
// A check runs code of the project, with the rights of a command of blast run and
// no others. It has no terminal and no input, its time and what is kept of its
// output are bounded, and what it started ends with it:
//
//	Await ─── command ends, or its time is over ─── End ─── output is whole ─── verdict
//	  init starts it; a connection that closes          in a sandbox to which no command goes
//	  ends its session                                  yet, all but init; else what has its mark
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// Host observes and applies check.LABEL, and runs the checks before the commit.
type Host struct{}

var (
	_ kinds.Host  = Host{}
	_ kinds.Gater = Host{}
)

// A check is a note of the environment, named by its label.
const notePrefix = "check-"

// Observe returns the checks that were applied.
func (Host) Observe(_ context.Context, env state.Env) ([]plan.Object, error) {
	es, err := os.ReadDir(env.Run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list checks: %w", err)
	}
	var objs []plan.Object
	for _, e := range es {
		name, note := strings.CutSuffix(e.Name(), ".json")
		label, ours := strings.CutPrefix(name, notePrefix)
		addr := check.Addr(label)
		if _, ok := check.Label(addr); !note || !ours || !ok {
			continue
		}
		var attrs json.RawMessage
		if ok, err := env.ReadNote(name, &attrs); err != nil {
			return nil, err
		} else if ok {
			objs = append(objs, plan.Object{Addr: addr, Attrs: attrs})
		}
	}
	return objs, nil
}

// Knows implements apply.Knower.
func (Host) Knows(addr string) bool {
	_, ok := check.Label(addr)
	return ok
}

// Apply notes what is to be checked. The checks themselves run in Gate.
func (Host) Apply(_ context.Context, env state.Env, c plan.Change) error {
	label, ok := check.Label(c.Addr)
	if !ok {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	if c.To == nil {
		return env.DropNote(notePrefix + label)
	}
	if _, _, err := c.Sides(&check.Check{}, &check.Check{}); err != nil {
		return err
	}
	return env.WriteNote(notePrefix+label, c.To)
}
