//go:build linux

package trial

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/process/command"
)

// shownCommand bounds the command in an error, in characters.
const shownCommand = 200

// A verdict is all that is known of a check that is over.
type verdict struct {
	name   string
	check  check.Check
	place  string // blast.hcl:12
	took   time.Duration
	exit   command.Exit
	err    error // it was not run, or not to its end
	left   error // what it started could not be ended
	output tail
}

// failure is nil if all is well. Else it says, a line each, what happened and where
// that is written, the command, and its last output:
//
//	imports: exit 1 after 0.3s   blast.hcl:12
//	$ python -c 'import app'
//	| ModuleNotFoundError: No module named 'app'
func (v verdict) failure() error {
	how := v.how()
	if how == "" {
		return nil
	}
	lines := []string{strings.TrimRight(fmt.Sprintf("%s: %s   %s", v.name, how, v.place), " "), "$ " + v.check.Line(shownCommand)}
	lines = append(lines, v.output.lines()...)
	if v.left != nil {
		lines = append(lines, "What it started runs on: "+v.left.Error())
	}
	return errors.New(strings.Join(lines, "\n"))
}

// how says how the check failed, or "".
func (v verdict) how() string {
	var refused *command.Error
	after := fmt.Sprintf(" after %.1fs", v.took.Seconds())
	switch {
	case errors.Is(v.err, errTime):
		return "killed, as it took longer than " + block.FormatDuration(v.check.Timeout)
	case errors.As(v.err, &refused):
		return fmt.Sprintf("exit %d: %s", refused.Code, refused.Message)
	case v.err != nil:
		return v.err.Error() + after
	case v.exit.Signaled:
		return "killed by " + signalName(v.exit.Value) + after
	case v.exit.Code() != 0:
		return fmt.Sprintf("exit %d%s", v.exit.Code(), after)
	case v.left != nil:
		return "exit 0" + after
	}
	return ""
}

func signalName(n byte) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}
