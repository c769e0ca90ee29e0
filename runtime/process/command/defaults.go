// Package command is how a command gets into a running sandbox: what each one
// starts with, and the conversation with the sandbox's PID 1.
package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/resource/rlimit"
	"blast.example/blast/state"
)

// Defaults is what every command in an environment starts with. Each kind that
// has something to say about it keeps a note of its own, named by NoteName.
type Defaults struct {
	Vars map[string]string `json:"vars,omitempty"`
	Dir  string            `json:"dir,omitempty"`

	// Secrets are variables whose values the caller looks for: see package secret.
	Secrets []secret.Reference `json:"secrets,omitempty"`

	Rlimits rlimit.Limits `json:"rlimits,omitempty"`
	Socket  string        `json:"socket,omitempty"` // of the sandbox's init, on the host
	UID     uint32        `json:"uid,omitempty"`
	GID     uint32        `json:"gid,omitempty"`
}

const notePrefix = "command-"

// NoteName is the name of the note (see state.Env.WriteNote) in which kind
// keeps its Defaults.
func NoteName(kind string) string { return notePrefix + kind }

// Load merges the defaults of all kinds, in the order of their names. Where two
// limit the same resource, both hold.
func Load(env state.Env) (Defaults, error) {
	d := Defaults{Vars: map[string]string{}, Rlimits: rlimit.Limits{}}
	es, err := os.ReadDir(env.Run)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("read command defaults: %w", err)
	}
	var names []string
	for _, e := range es {
		if name, ok := strings.CutSuffix(filepath.Base(e.Name()), ".json"); ok && strings.HasPrefix(name, notePrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		var n Defaults
		if _, err := env.ReadNote(name, &n); err != nil {
			return d, err
		}
		maps.Copy(d.Vars, n.Vars)
		d.Secrets = append(d.Secrets, n.Secrets...)
		limit(d.Rlimits, n.Rlimits)
		if n.Dir != "" {
			d.Dir = n.Dir
		}
		if n.Socket != "" {
			d.Socket, d.UID, d.GID = n.Socket, n.UID, n.GID
		}
	}
	return d, nil
}

// limit adds limits to have. The lower of two counts.
func limit(have, more rlimit.Limits) {
	for name, l := range more {
		if h, ok := have[name]; ok {
			l.Soft, l.Hard = min(l.Soft, h.Soft), min(l.Hard, h.Hard)
		}
		have[name] = l
	}
}
