package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/daemon/wire"
)

type killCmd struct {
	Signal string `short:"s" default:"KILL" placeholder:"NAME" help:"Signal for every process, by name or number: TERM, HUP, 9."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// killed is the answer of kill, as --json prints it.
type killed struct {
	Environment string `json:"environment"`
	Signal      string `json:"signal"`
	Processes   int    `json:"processes"` // that got it
}

// Run ends the commands of the environment, or signals to them. The sandbox stays up.
func (cmd *killCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	sig := signalOf(cmd.Signal)
	if sig == 0 {
		return u.misused("--signal %s is no signal: write a name such as TERM, or a number from 1 to 64", cmd.Signal)
	}
	c, env, err := u.running(g)
	if err != nil {
		return err
	}
	var res wire.KillResult
	if err := c.Call(ctx, wire.Kill, wire.KillParams{Env: env, Signal: sig, Caller: caller("blast kill")}, &res, u.event); err != nil {
		return err
	}
	u.untick()
	if cmd.JSON {
		return u.answer(killed{env.Name, nameOf(sig), res.Processes})
	}
	return printAll(u.out, []byte(cmd.text(env.Name, sig, res)))
}

func (cmd *killCmd) text(name string, sig syscall.Signal, res wire.KillResult) string {
	switch {
	case res.Processes == 0 && res.Was == nil:
		return fmt.Sprintf("Nothing to do: no command runs in environment %s.\n", name)
	case sig != syscall.SIGKILL:
		return fmt.Sprintf("Sent %s to %s in environment %s.\n", nameOf(sig), processes(res.Processes), name)
	}
	s := fmt.Sprintf("Ended %s in environment %s. The sandbox stays up; blast destroy ends it, too.\n", processes(res.Processes), name)
	if res.Was != nil {
		s += fmt.Sprintf("It stands still no more, as it did since %s, by %s.\n", when(res.Was.Time), cell(res.Was.By))
	}
	return s
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return strconv.Itoa(n) + " processes"
}

// lastSignal is the last real-time signal of signal(7).
const lastSignal = 64

// signalOf reads a signal's name, with SIG before it or without, or its number; 0 is none.
func signalOf(s string) syscall.Signal {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= lastSignal {
		return syscall.Signal(n)
	}
	return unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG"))
}

func nameOf(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}
