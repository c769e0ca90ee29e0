package main

import (
	"context"
	"os"
	"path"
	"strings"

	"golang.org/x/term"

	"blast.example/blast/runtime/process/session"
)

type runCmd struct {
	SetEnv []string `name:"set-env" sep:"none" placeholder:"NAME[=VALUE]" help:"Set a variable for this command, or, by its name alone, pass on this shell's: nobody sees that in the list of processes."`
	Dir    string   `placeholder:"DIR" help:"Working folder in the sandbox; by default this folder's place in the workspace."`
	FailOn string   `enum:",denied" default:"" placeholder:"denied" help:"With denied: exit with 20 if the sandbox refused something."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments, after --."`
}

// Run starts a command in the sandbox and ends as it does. blast-front does the
// same for the usual flags, without reading this program.
func (cmd *runCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	args := cmd.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		return u.misused("run what? As in: blast run -- python app.py")
	case len(args) == len(cmd.Args) && strings.HasPrefix(args[0], "-"):
		return u.misused("run has no flag %s; a command that is called so comes after --", args[0])
	case cmd.Dir != "" && !path.IsAbs(cmd.Dir):
		return u.misused("--dir %s is not a path from /: the workspace is at /workspace", cmd.Dir)
	}
	return u.inSandbox(ctx, g, session.Session{Args: args, SetEnv: cmd.SetEnv, Dir: cmd.Dir, FailOnDenied: cmd.FailOn == "denied"})
}

// misused says what is wrong with the command line.
func (u *ui) misused(format string, args ...any) error {
	u.complain(format, args...)
	return statusError{exitUsage}
}

// inSandbox runs a command in the environment.
func (u *ui) inSandbox(ctx context.Context, g *Globals, s session.Session) error {
	var err error
	if s.Env, err = session.Locate(g.Env); err != nil {
		u.say("blast: %v", err)
		return statusError{session.ExitFailed}
	}
	s.Stdin, s.Stdout, s.Stderr, s.Tell = u.stdin, u.stdout, u.stderr, u.event
	code, err := s.Run(ctx)
	if err != nil {
		return err
	}
	return statusError{code}
}

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
