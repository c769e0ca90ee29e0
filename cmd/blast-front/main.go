// Command blast-front is installed as blast: it starts commands in a sandbox, and
// leaves everything else to blast-cli beside it.
//
// What a program links it pays for at every start: the language, the resolver and
// a parser of flags take milliseconds, which is more than a command in a running
// sandbox takes. So blast run with the usual flags is done here, and what this
// program doesn't understand at once, or can't do, it doesn't try: blast-cli, which
// is the whole of Blast, gets the same arguments and has the last word.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/runtime/process/session"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 1 && args[0] == "version" {
		if _, err := os.Stdout.WriteString(release.Line()); err != nil {
			return 1
		}
		return 0
	}
	if s, env, ok := parse(args); ok {
		if code, ok := start(s, env); ok {
			return code
		}
	}
	return whole(args)
}

// start runs the command if nothing stands in the way.
func start(s session.Session, env string) (code int, ok bool) {
	var err error
	if s.Env, err = session.Locate(env); err != nil || s.Env.Dirty() {
		return 0, false
	}
	s.Stdin, s.Stdout, s.Stderr = os.Stdin, os.Stdout, os.Stderr
	code, err = s.Run(context.Background())
	return code, err == nil
}

// cliName is the whole of Blast.
const cliName = "blast-cli"

// whole becomes blast-cli.
func whole(args []string) int {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err == nil {
		path := filepath.Join(filepath.Dir(self), cliName)
		err = syscall.Exec(path, append([]string{"blast"}, args...), os.Environ())
	}
	fmt.Fprintf(os.Stderr, "blast: start %s: %v; install blast, blast-cli, blastd and blast-init in one folder\n", cliName, err)
	return 1
}
