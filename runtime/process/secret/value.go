//go:build linux

package secret

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// MaxValue bounds a value, in bytes. execve(2) takes strings of at most 128 KiB.
const MaxValue = 64 << 10

// A Value is the value of a secret. It prints and encodes as nothing: who wants it
// has to say so.
type Value struct{ reveal func() string } // in a closure, as reflection sees through fields

// NewValue hides a text.
func NewValue(text string) Value { return Value{func() string { return text }} }

// Reveal is the value itself: for the environment of a command, or for Hash.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// Format implements fmt.Formatter for all verbs.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// A MissingError says why a secret has no value here, and what to do. It has nothing
// of a value in it.
type MissingError struct {
	Reference
	Why string // "the variable X is not set"
	Fix string // a sentence
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("secret %s has no value: it comes from %s, and %s. %s", e.Name, e.From, e.Why, e.Fix)
}

// Value looks where the value is: in this process's environment, or in a file, which
// is read with the rights of env's person and no others. The error is a *MissingError.
func (r Reference) Value(env state.Env) (Value, error) {
	source, of, err := parse(r.From)
	if err != nil { // checked when it was planned
		return Value{}, &MissingError{r, "that is no place", "Correct it in blast.hcl, and apply."}
	}
	// What this process holds from now on is for no core dump, and for no other
	// process of its user: see PR_SET_DUMPABLE in prctl(2).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return Value{}, &MissingError{r, fmt.Sprintf("this process can't be kept out of core dumps: %v", err), "Look at what confines blast, such as a seccomp filter."}
	}
	var text string
	var missing *MissingError
	if source == envSource {
		text, missing = r.fromEnviron(of)
	} else {
		text, missing = r.fromFile(env)
	}
	if missing != nil {
		return Value{}, missing
	}
	return NewValue(text), nil
}

// fromEnviron reads a variable. An empty one is none: so CI systems give those that
// they don't have.
func (r Reference) fromEnviron(name string) (string, *MissingError) {
	text, ok := os.LookupEnv(name)
	switch {
	case !ok:
		return "", &MissingError{r, "the variable " + name + " is not set here", fixEnviron(name)}
	case text == "":
		return "", &MissingError{r, "the variable " + name + " is empty here", fixEnviron(name)}
	case len(text) > MaxValue:
		return "", &MissingError{r, fmt.Sprintf("that is longer than %d KiB", MaxValue>>10), "Give commands a file that holds it."}
	}
	return text, nil
}

// fixEnviron knows that sudo(8) passes on next to nothing.
func fixEnviron(name string) string {
	if os.Getenv("SUDO_UID") != "" {
		return "Set it, and let sudo pass it on: sudo --preserve-env=" + name + " blast ..."
	}
	return "Set and export it in the shell that calls blast."
}

// text is what a file says: without the newline at its end, which editors and echo(1)
// add.
func (r Reference) text(b []byte) (string, *MissingError) {
	s := string(b)
	if cut, ok := strings.CutSuffix(s, "\n"); ok {
		s = strings.TrimSuffix(cut, "\r")
	}
	switch {
	case s == "":
		return "", &MissingError{r, "the file is empty", "Write the value into it."}
	case len(s) > MaxValue:
		return "", &MissingError{r, fmt.Sprintf("the file is longer than %d KiB", MaxValue>>10), "Give commands the file itself, by a mount."}
	case strings.ContainsRune(s, 0):
		return "", &MissingError{r, "the file has a NUL byte, which ends strings in the kernel", "Give commands the file itself, by a mount, or encode it as text."}
	}
	return s, nil
}
