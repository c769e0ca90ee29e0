package wire

import (
	"strings"
	"syscall"
	"unicode"
)

// Exit is how a command ended: by exit(2) with a status, or by a signal.
type Exit struct {
	Signaled bool
	Value    byte // status or signal number
}

// Code is the exit code that a shell would show.
func (e Exit) Code() int {
	if e.Signaled {
		return 128 + int(e.Value)
	}
	return int(e.Value)
}

// Append encodes e.
func (e Exit) Append(b []byte) []byte {
	var s byte
	if e.Signaled {
		s = 1
	}
	return append(b, s, e.Value)
}

// ParseExit decodes an Exit.
func ParseExit(b []byte) (Exit, error) {
	if len(b) != 2 || b[0] > 1 {
		return Exit{}, ErrMalformed
	}
	return Exit{Signaled: b[0] == 1, Value: b[1]}, nil
}

// Failure is why a command was not started.
type Failure struct {
	Code    byte   // CodeFailed, CodeNotExecutable, CodeNotFound
	Message string // "python9: not found in PATH"
}

// Codes of a Failure, which are those of docker and of shells.
const (
	CodeFailed        = 125 // Blast's fault, or the sandbox's limits
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// Append encodes f. A long message is cut.
func (f Failure) Append(b []byte) []byte {
	return append(append(b, f.Code), f.Message[:min(len(f.Message), MaxReply-1)]...)
}

// ParseFailure decodes a Failure. Its message holds nothing but what can be printed, as
// it goes to a person's terminal: some take U+009B for the beginning of a sequence.
func ParseFailure(b []byte) (Failure, error) {
	if len(b) < 1 || b[0] < CodeFailed || b[0] > CodeNotFound {
		return Failure{}, ErrMalformed
	}
	message := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(string(b[1:]), "?"))
	return Failure{Code: b[0], Message: message}, nil
}

// Forwarded are the signals that a client may pass on, and whether each goes to
// the whole process group of the command, as one from a terminal would, or to
// the command alone, as one from kill(1) would.
var Forwarded = map[syscall.Signal]bool{
	syscall.SIGINT:  true,
	syscall.SIGQUIT: true,
	syscall.SIGHUP:  true,
	syscall.SIGTSTP: true,
	syscall.SIGCONT: true,
	syscall.SIGTERM: false,
	syscall.SIGUSR1: false,
	syscall.SIGUSR2: false,
}
