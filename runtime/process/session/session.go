// Package session is one command in a sandbox, from the caller's terminal to the
// explanation of what was refused: blast run and blast shell.
//
// It is on the way of every command, so it links neither the language nor any
// kind's words: what those weigh is paid at each start of a program.
package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

// Exit codes that are Blast's own; see `blast --help`.
const (
	ExitFailed = 125 // Blast's own failure to run a command, as docker's
	ExitDenied = 20  // something was denied, and FailOnDenied is set
)

// A Session is one command.
type Session struct {
	Env          state.Env
	Args         []string
	SetEnv       []string // NAME=VALUE, or NAME to pass on the caller's
	Dir          string   // in the sandbox; "" is the place of the caller's own folder
	FailOnDenied bool

	Stdin, Stdout, Stderr *os.File

	// Tell hears what the daemon says while it finishes what a dead apply left;
	// nil is nobody.
	Tell func(wire.Event)
}

// Run starts the command, waits for it and explains what was refused meanwhile.
// It returns the command's exit code, or one of Blast's own after having said why on
// Stderr. An error is a reason not to have tried: it was not said.
func (s Session) Run(ctx context.Context) (int, error) {
	c, err := client.New()
	if err != nil {
		return 0, err
	}
	if s.Env.Dirty() { // a dead apply left something: the daemon finishes it first
		if err := c.Call(ctx, wire.Look, wire.LookParams{Env: s.Env, Records: true}, nil, s.Tell); err != nil {
			return 0, err
		}
	}
	stop, err := c.Attend(ctx)
	if err != nil {
		return s.failed(err), nil
	}
	defer stop()
	d, err := command.Load(s.Env)
	if err != nil {
		return s.failed(err), nil
	}
	if d.Socket == "" {
		return s.failed(fmt.Errorf("environment %q is not up: run `blast apply` first", s.Env.Name)), nil
	}
	if h := s.Env.Held(); h != nil {
		return s.failed(fmt.Errorf("%s; `blast thaw` lets it go on", h.Tell(s.Env.Name))), nil
	}
	st, err := s.Env.Load()
	if err != nil {
		return s.failed(err), nil
	}
	return s.start(ctx, c, d, st), nil
}

func (s Session) start(ctx context.Context, c *client.Client, d command.Defaults, st state.State) int {
	dir := s.Dir
	if dir == "" {
		dir = insideDir(st, s.Env.Project, d.Dir)
	}
	vars, missing := commandEnv(d, s.Env, s.SetEnv)
	if len(missing) > 0 {
		for _, err := range missing {
			s.say("blast: %v  %s", err, placeOfSecret(st, err))
		}
		return ExitFailed
	}
	log := filepath.Join(s.Env.Run, denial.File)
	from, alerts, files, before := denial.End(log), access.End(s.alertFile()), access.End(s.deniedFile()), tollOf(s.Env)
	over, told := s.watchAlerts(ctx, st, alerts)
	code, err := command.Run(ctx, d.Socket, command.Request{
		Args: s.Args, Env: vars, Dir: dir, Rlimits: d.Rlimits,
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr,
	})
	over()
	alerts = <-told
	if err != nil {
		s.say("blast: %v", err)
		s.explainLimits(st, before, before.since()) // as there may be no room for one more process
		return code                                 // 125, 126 or 127
	}
	reached := before.since()
	if code != 0 || s.FailOnDenied || alerts >= 0 || reached.By[usage.MemoryMax] > 0 { // what a command took in its stride need not be explained to the last
		if err := c.Call(ctx, wire.Flush, wire.FlushParams{Env: s.Env}, nil, nil); err != nil {
			s.say("blast: what was denied last may be missing: %v", err)
		}
	}
	s.explainLimits(st, before, reached)
	if code != 0 {
		s.askRooms(ctx, c, st, code)
	}
	s.explainAlerts(st, alerts)
	s.explainFiles(st, files, code)
	if s.explain(st, log, from) > 0 && s.FailOnDenied {
		return ExitDenied
	}
	return code
}

func (s Session) failed(err error) int {
	s.say("blast: %v", err)
	return ExitFailed
}

// say writes a line of talk.
func (s Session) say(format string, args ...any) { _, _ = fmt.Fprintf(s.Stderr, format+"\n", args...) }
