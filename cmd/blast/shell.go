package main

import (
	"context"
	"os"

	"blast.example/blast/runtime/process/session"
)

type shellCmd struct {
	SetEnv []string `name:"set-env" sep:"none" placeholder:"NAME[=VALUE]" help:"Set a variable for this shell, or pass on the caller's."`
}

// Run opens an interactive shell, without the start-up files of the host.
func (cmd *shellCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	name := g.Env
	if env, err := u.locate(g); err == nil {
		name = env.Name
	}
	args := []string{"/bin/sh", "-i"}
	prompt := "(blast:" + name + ") $PWD $ "
	if _, err := os.Stat("/bin/bash"); err == nil { // the base is the host's
		args = []string{"/bin/bash", "--noprofile", "--norc", "-i"}
		prompt = "(blast:" + name + `) \w $ `
	}
	if !isTerminal(u.stdin) {
		args = args[:len(args)-1] // a script on stdin
	}
	return u.inSandbox(ctx, g, session.Session{Args: args, SetEnv: append([]string{"PS1=" + prompt}, cmd.SetEnv...)})
}
