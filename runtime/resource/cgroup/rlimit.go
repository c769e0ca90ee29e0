package cgroup

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/state"
)

// rlimits are the limits of getrlimit(2) by name.
var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
	"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// ineffective are those that Linux accepts and ignores, getrlimit(2).
var ineffective = map[string]string{
	"rss":   "Linux ignores it since 2.4.30; memory.max limits what is resident",
	"locks": "Linux ignores it since 2.4.25",
}

var rlimitNote = command.NoteName("resource")

func observeRlimits(env state.Env) (resource.Rlimits, bool, error) {
	var d command.Defaults
	ok, err := env.ReadNote(rlimitNote, &d)
	if d.Rlimits == nil {
		d.Rlimits = resource.Rlimits{}
	}
	return d.Rlimits, ok, err
}

// applyRlimits writes what each command starts with. Commands that run keep
// what they have.
func applyRlimits(env state.Env, c plan.Change) error {
	var from, to resource.Rlimits
	_, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return err
	}
	if !hasTo {
		return env.DropNote(rlimitNote)
	}
	for name := range to {
		if _, ok := rlimits[name]; !ok {
			return fmt.Errorf("rlimit %s: no such limit", name)
		}
	}
	return env.WriteNote(rlimitNote, command.Defaults{Rlimits: to})
}

// checkRlimits finds those that commands can't be given. They start from the
// sandbox's PID 1, which has no capabilities: it can only lower what the daemon
// that made it had.
func checkRlimits(o plan.Object) ([]kinds.Problem, error) {
	var want resource.Rlimits
	if err := o.Decode(&want); err != nil {
		return nil, err
	}
	var found []kinds.Problem
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if reason, fix := rlimitProblem(name, want[name]); reason != "" {
			found = append(found, kinds.Problem{Addr: o.Addr, Item: "rlimit." + name, Reason: reason, Fix: fix})
		}
	}
	return found, nil
}

func rlimitProblem(name string, l resource.Rlimit) (reason, fix string) {
	which, ok := rlimits[name]
	if !ok {
		return fmt.Sprintf("there is no limit %q in getrlimit(2)", name), "Use a name such as nofile, nproc or fsize."
	}
	if why := ineffective[name]; why != "" {
		return why, "Remove the block."
	}
	if l.Soft > l.Hard {
		return fmt.Sprintf("the soft limit, %d, is above the hard one, %d", l.Soft, l.Hard), "Lower soft, or raise hard."
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(which, &own); err != nil {
		return fmt.Sprintf("the kernel does not tell it: %v", err), "Remove the block."
	}
	if l.Hard > own.Max {
		return fmt.Sprintf("%d is above the hard limit of Blast's daemon, %d, and a command can only have less", l.Hard, own.Max),
			fmt.Sprintf("Write at most %d, or raise the limit of the shell or service that starts Blast (ulimit -H, LimitNOFILE= and the like).", own.Max)
	}
	return "", ""
}
