//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// The shim is this program once more, between fork and the command: hard limits
// can only be lowered in the process that they are for, as PID 1 could never
// raise its own again.
//
//	argv: shimName  7=1024:4096,1=…  /usr/bin/python3  python3 app.py …
const shimName = "blast-init: setting rlimits"

// self is this program. The link is resolved in the child, which shares it.
const self = "/proc/self/exe"

func shimArgs(limits []wire.Rlimit, path string, argv []string) []string {
	var b strings.Builder
	for i, l := range limits {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d=%d:%d", l.Resource, l.Soft, l.Hard)
	}
	return append([]string{shimName, b.String(), path}, argv...)
}

// shim sets the limits and becomes the command. It ends with the exit code of a
// command that can't be run, having said why on stderr.
func shim(args []string) { os.Exit(int(become(args))) } //nolint:forbidigo // the main of a command

func become(args []string) byte {
	// Until the command takes over, no other command may change its mind.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if len(args) < 3 {
		return wire.CodeFailed
	}
	if err := setLimits(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, "blast: set limits:", err)
		return wire.CodeFailed
	}
	path, argv := args[1], args[2:]
	err := syscall.Exec(path, argv, os.Environ())
	if err == syscall.ENOEXEC {
		err = syscall.Exec(shell, append([]string{shell, path}, argv[1:]...), os.Environ())
	}
	f := execFailure(argv[0], err)
	fmt.Fprintln(os.Stderr, "blast:", f.Message)
	return f.Code
}

// setLimits sets what shimArgs wrote down, never above the hard limits that the
// sandbox itself has.
func setLimits(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		var res int
		var want syscall.Rlimit
		if _, err := fmt.Sscanf(part, "%d=%d:%d", &res, &want.Cur, &want.Max); err != nil {
			return fmt.Errorf("limit %s: %w", strconv.Quote(part), err)
		}
		if res == unix.RLIMIT_CORE {
			continue // no command has core files, and none can change that
		}
		var have syscall.Rlimit
		if err := syscall.Getrlimit(res, &have); err != nil {
			return fmt.Errorf("rlimit %d: %w", res, err)
		}
		want.Max = min(want.Max, have.Max)
		want.Cur = min(want.Cur, want.Max)
		if err := syscall.Setrlimit(res, &want); err != nil {
			return fmt.Errorf("rlimit %d: %w", res, err)
		}
	}
	return nil
}
