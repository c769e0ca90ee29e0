package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/pathglob"
	"blast.example/blast/state"
)

type filesCmd struct {
	Follow  bool          `short:"f" help:"Go on with what comes, until Ctrl-C or until the environment is down."`
	Where   []string      `arg:"" optional:"" name:"path" help:"Only of these paths and all below, as --path; src/app.py is that of the workspace."`
	Path    []string      `sep:"none" placeholder:"PATTERN" help:"Only of these paths in the sandbox and all below: /workspace/src, /workspace/**/*.pem, *.pem."`
	Op      []string      `enum:"read,write,create,delete,rename,execute,denied" placeholder:"OP" help:"Only what did this: read, write, create, delete, rename, execute; or was denied."`
	Process string        `placeholder:"NAME" help:"Only by commands of this name, or by the process with this number in the sandbox."`
	Since   time.Duration `placeholder:"TIME" help:"Only what happened at most so long ago: 10m, 1h30m."`
	History bool          `xor:"what" help:"Show what happened to each path instead, the last one at the end."`
	JSON    bool          `name:"json" help:"Print lines of JSON, as docs/OUTPUT.md describes them."`
}

// Run shows what the environment's sandboxes did with files. It takes no lock.
func (cmd *filesCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	for _, p := range cmd.Where {
		cmd.Path = append(cmd.Path, seenAt(p))
	}
	for _, p := range cmd.Path {
		if err := pathglob.Check(p); err != nil {
			return u.misused("--path %q: %v", p, err)
		}
	}
	if cmd.Follow && cmd.History {
		return u.misused("--follow shows what comes, --history what was: leave one out")
	}
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	c, err := u.client()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(env.Run, access.File)); errors.Is(err, fs.ErrNotExist) {
		return cmd.nothing(u, env)
	}
	s := &fileSights{cmd: cmd, u: u, src: sourcesOf(env, filesystem.TrackAddr), tree: sourcesOf(env, filesystem.TreeAddr)}
	if cmd.Since > 0 {
		s.after = time.Now().Add(-cmd.Since)
	}
	return s.all(ctx, c, env)
}

// seenAt is a path that a person took from where the project is, as the sandbox has it.
func seenAt(p string) string {
	if path.IsAbs(p) || !strings.Contains(p, "/") {
		return p
	}
	return path.Join(filesystem.WorkspaceDir, p)
}

func (cmd *filesCmd) nothing(u *ui, env state.Env) error {
	if cmd.JSON {
		return nil
	}
	text := "Nothing is tracked in environment " + env.Name + ": a track block in blast.hcl lets accesses to files go on record.\n"
	if _, err := os.Lstat(env.Run); errors.Is(err, fs.ErrNotExist) {
		text = "Nothing of environment " + env.Name + " is up, so there is no record of accesses to files.\n"
	}
	return printAll(u.out, []byte(text))
}

// fileSights are the lines of the record as they come: all that there is, then what
// happens.
type fileSights struct {
	cmd   *filesCmd
	u     *ui
	src   map[string]string // of what is tracked
	tree  map[string]string // of what is mounted
	after time.Time         // what is older is left out

	begun  bool // something was printed
	ready  bool // all that there is was told
	widths fileWidths
	last   time.Time // of what was told
	err    error     // of writing
}

// all shows the record, and follows it over the deaths of daemons.
func (s *fileSights) all(ctx context.Context, c *client.Client, env state.Env) error {
	p := wire.MonitorParams{Env: env, Record: access.Record, Follow: s.cmd.Follow}
	for {
		over, err := s.u.monitor(ctx, c, p, func(line json.RawMessage) error {
			s.hear(line)
			return s.err
		})
		switch {
		case errors.Is(err, syscall.EPIPE):
			return nil
		case err != nil && !over && s.cmd.Follow && s.ready && errors.Is(err, client.ErrDied):
			s.ready, s.after = false, s.last
			s.u.say("blast: blastd died; going on with the next one")
		case err != nil:
			return err
		case s.cmd.Follow && !over:
			s.u.say("blast: environment %s is down, or is not tracked any more: nothing more comes", env.Name)
			return nil
		case !s.begun && !s.cmd.JSON:
			return printAll(s.u.out, []byte("No access is on record.\n"))
		default:
			return nil
		}
	}
}

// hear takes in one line. Lines of types that a newer daemon has are passed over.
func (s *fileSights) hear(b []byte) {
	v, err := access.Decode(b)
	if err != nil {
		return
	}
	switch v := v.(type) {
	case *access.Alert:
		v.Place = plan.PlaceOf(s.src, "alert."+v.Name)
	case *access.Access:
		if v.Rule != "" {
			v.Place = plan.PlaceOf(s.tree, v.Rule)
		}
	}
	if t := timeOfUse(v); t.After(s.last) {
		s.last = t
	}
	if _, ok := v.(*access.Totals); ok {
		s.ready = true
	}
	if s.wanted(v) {
		s.err = s.print(v)
	}
}

func (s *fileSights) print(v any) error {
	s.begun = true
	if s.cmd.JSON {
		b, err := view.Encode(v, "")
		if err != nil {
			return err
		}
		_, err = s.u.stdout.Write(append(b, '\n')) // also an error where the reader went away
		return err
	}
	text := s.text(v)
	if text == "" {
		return nil
	}
	_, err := s.u.stdout.Write([]byte(text))
	return err
}

// timeOfUse is when a line was written.
func timeOfUse(v any) time.Time {
	switch v := v.(type) {
	case *access.Access:
		return v.Time
	case *access.Alert:
		return v.Time
	case *access.Gap:
		if v.To.IsZero() {
			return v.From
		}
		return v.To
	case *access.Path:
		return v.Last
	}
	return time.Time{}
}

// wanted reports whether the flags ask for a line.
func (s *fileSights) wanted(v any) bool {
	if t := timeOfUse(v); !t.IsZero() && !s.after.IsZero() && !t.After(s.after) {
		return false
	}
	cmd := s.cmd
	switch v := v.(type) {
	case *access.Access:
		return !cmd.History && cmd.asks(v.Process, []string{v.Path, v.To, v.Via}, v.Op)
	case *access.Alert:
		return !cmd.History && cmd.asks(v.Process, []string{v.Path}, v.Event)
	case *access.Path:
		return cmd.History && cmd.asks(v.By, []string{v.Path}, slices.Collect(maps.Keys(v.Ops))...)
	case *access.Totals:
		return cmd.JSON || !cmd.Follow && !cmd.narrow()
	}
	return !cmd.History
}

// asks reports whether it is asked for what a process did to one of some paths.
func (cmd *filesCmd) asks(by access.Process, paths []string, ops ...string) bool {
	return cmd.of(by) && (len(cmd.Op) == 0 || slices.ContainsFunc(ops, func(op string) bool { return slices.Contains(cmd.Op, op) })) &&
		slices.ContainsFunc(paths, func(p string) bool { return pathglob.Any(cmd.Path, p) })
}

// narrow reports whether only a part is asked for, which totals don't tell of.
func (cmd *filesCmd) narrow() bool {
	return cmd.History || len(cmd.Path) > 0 || len(cmd.Op) > 0 || cmd.Process != "" || cmd.Since > 0
}

// of reports whether a process is the one that is asked for.
func (cmd *filesCmd) of(p access.Process) bool {
	return cmd.Process == "" || cmd.Process == p.Command || cmd.Process == strconv.Itoa(p.PID) && p.PID != 0 || strings.HasSuffix(p.Script, "/"+cmd.Process) || cmd.Process == p.Script && p.Script != ""
}
