// Package command is how a command gets into a running sandbox: what each one
// starts with, and the conversation with the sandbox's PID 1.
package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
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

const (
	notePrefix    = "command-"
	appliedPrefix = "applied-"
)

// NoteName is the name of the note (see state.Env.WriteNote) in which kind
// keeps its Defaults.
func NoteName(kind string) string { return notePrefix + kind }

// AppliedName is the name of a note that takes the place of NoteName's when the
// apply under way is final. Until then commands follow the old one, so that they go
// where they went before, and an apply that is taken back never was.
func AppliedName(kind string) string { return appliedPrefix + kind }

// Load merges the defaults of all kinds, in the order of their names. Where two
// limit the same resource, both hold.
func Load(env state.Env) (Defaults, error) { return load(env, notePrefix) }

// LoadApplied is Load as it will be when the apply under way is final. Without one
// there is no difference.
func LoadApplied(env state.Env) (Defaults, error) { return load(env, notePrefix, appliedPrefix) }

// load merges the notes with these prefixes: of each kind the one whose prefix is
// the last.
func load(env state.Env, prefixes ...string) (Defaults, error) {
	d := Defaults{Vars: map[string]string{}, Rlimits: rlimit.Limits{}}
	es, err := os.ReadDir(env.Run)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("read command defaults: %w", err)
	}
	notes := map[string]string{} // by kind
	for _, prefix := range prefixes {
		for _, e := range es {
			name, ok := strings.CutSuffix(e.Name(), ".json")
			if kind, ours := strings.CutPrefix(name, prefix); ok && ours {
				notes[kind] = name
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(notes)) {
		var n Defaults
		if _, err := env.ReadNote(notes[kind], &n); err != nil {
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
