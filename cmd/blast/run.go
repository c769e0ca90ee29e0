package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/state"
)

type runCmd struct {
	SetEnv []string `name:"set-env" sep:"none" placeholder:"NAME[=VALUE]" help:"Set a variable for this command, or pass on this shell's."`
	Dir    string   `placeholder:"DIR" help:"Working folder in the sandbox; by default this folder's place in the workspace."`
	FailOn string   `enum:",denied" default:"" placeholder:"denied" help:"With denied: exit with 20 if the sandbox refused something."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments, after --."`
}

// exitRunFailed is Blast's own failure to run a command, as docker's.
const exitRunFailed = 125

// Run starts a command in the sandbox and ends as it does.
func (cmd *runCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	args := cmd.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		u.say("blast: run what? As in: blast run -- python app.py")
		return statusError{exitUsage}
	}
	return u.inSandbox(ctx, g, args, cmd.SetEnv, cmd.Dir, cmd.FailOn == "denied")
}

// inSandbox runs args in the environment and explains what was refused.
func (u *ui) inSandbox(ctx context.Context, g *Globals, args, setEnv []string, dir string, failOnDenied bool) error {
	env, err := u.locate(g)
	if err != nil {
		return u.cantRun(err)
	}
	c, err := client.New()
	if err != nil {
		return err
	}
	if err := recoverFirst(ctx, u, c, env); err != nil {
		return err
	}
	stop, err := c.Attend(ctx)
	if err != nil {
		return u.cantRun(err)
	}
	defer stop()
	d, err := command.Load(env)
	if err != nil {
		return u.cantRun(err)
	}
	if d.Socket == "" {
		return u.cantRun(fmt.Errorf("environment %q is not up: run `blast apply` first", env.Name))
	}
	st, err := env.Load()
	if err != nil {
		return u.cantRun(err)
	}
	if dir == "" {
		dir = insideDir(st, d.Dir)
	}
	log := filepath.Join(env.Run, denial.File)
	from := denial.End(log)
	code, err := command.Run(ctx, d.Socket, command.Request{
		Args: args, Env: commandEnv(d.Vars, setEnv), Dir: dir, Rlimits: d.Rlimits,
		Stdin: u.stdin, Stdout: u.stdout, Stderr: u.stderr,
	})
	if err != nil {
		u.say("blast: %v", err)
		return statusError{code} // 125, 126 or 127
	}
	denied := u.explain(env, st, log, from)
	if failOnDenied && denied > 0 {
		code = exitDenied
	}
	return statusError{code}
}

func (u *ui) cantRun(err error) error {
	u.say("blast: %v", err)
	return statusError{exitRunFailed}
}

// recoverFirst lets the daemon finish what a dead apply left, if there is any.
func recoverFirst(ctx context.Context, u *ui, c *client.Client, env state.Env) error {
	if !env.Dirty() {
		return nil
	}
	return c.Call(ctx, wire.Look, wire.LookParams{Env: env, Records: true}, nil, u.event)
}

// passedOn are the variables of the caller that every command gets: they say
// what the terminal and the language are. Nothing else is, as a shell's
// variables hold secrets.
var passedOn = []string{"TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "NO_COLOR", "FORCE_COLOR"}

// commandEnv is what the command starts with: the environment's own variables
// win over what the caller's terminal says, and --set-env wins over both.
func commandEnv(vars map[string]string, setEnv []string) []string {
	out := map[string]string{}
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			out[name] = v
		}
	}
	maps.Copy(out, vars)
	for _, s := range setEnv {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				continue
			}
		}
		out[name] = value
	}
	env := make([]string, 0, len(out))
	for _, name := range slices.Sorted(maps.Keys(out)) {
		env = append(env, name+"="+out[name])
	}
	return env
}

// insideDir maps the caller's working folder to its place in the sandbox.
func insideDir(st state.State, fallback string) string {
	wd, err := os.Getwd()
	if err == nil {
		wd, err = filepath.EvalSymlinks(wd)
	}
	if err != nil {
		return fallback
	}
	best, dir := "", fallback
	for _, o := range st.Objects {
		var tree filesystem.Tree
		if o.Addr != filesystem.TreeAddr || o.Decode(&tree) != nil {
			continue
		}
		for _, m := range tree.Mounts {
			if m.Type != filesystem.Bind || len(m.Source) <= len(best) {
				continue
			}
			if rel, err := filepath.Rel(m.Source, wd); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
				best, dir = m.Source, filepath.Join(m.Target, rel)
			}
		}
	}
	return dir
}

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
