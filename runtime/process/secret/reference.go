// Package secret is where the values of secrets come from: a variable of the
// caller's environment, or a file that the person can read.
//
// What is recorded and shown is a Reference: a name, where the value is, and a
// hash of it under a key that stays in the state folder. The value itself goes
// from here to the command that gets it, and nowhere else.
//
// It is on the way of every command, so it links little: see package session.
package secret

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// A Reference is all that is known of a secret without its value.
type Reference struct {
	Name string `json:"name"`           // of the environment variable that commands get
	From string `json:"from"`           // "env:NAME" or "file:PATH", as written
	Hash string `json:"hash,omitempty"` // see Hash; "" until it is applied
}

// The sources of values.
const (
	envSource  = "env"
	fileSource = "file"
)

// ValidName reports whether an environment variable can be called so: POSIX's rule
// for portable names, with lower case.
func ValidName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// CheckSource says in whole sentences why a value can't come from there, and what
// to write; nil is fine. It looks at the text alone.
func CheckSource(from string) error {
	_, _, err := parse(from)
	return err
}

// parse takes "env:NAME" and "file:PATH" apart.
func parse(from string) (source, of string, err error) {
	source, of, ok := strings.Cut(from, ":")
	switch {
	case ok && source == envSource && ValidName(of):
		return source, of, nil
	case ok && source == envSource:
		return "", "", fmt.Errorf("from is %q, and %q can't name an environment variable. Use letters, digits and _, and don't begin with a digit", from, of)
	case ok && source == fileSource:
		return source, of, checkPath(from, of)
	}
	// It may be the value itself, so it isn't repeated.
	return "", "", errors.New("from has to say where the value is, and begins neither with \"env:\" nor with \"file:\". The value itself must not stand here. Write \"env:NAME\" for a variable of the environment that blast is called in, or \"file:PATH\"")
}

// checkPath has the rules of a mount's source: what is reviewed is what is read.
func checkPath(from, file string) error {
	switch {
	case file == "":
		return fmt.Errorf("from is %q, and the path is missing. Write the path of a file, from / or from the project's folder", from)
	case strings.ContainsFunc(file, unicode.IsControl):
		return fmt.Errorf("from is %q, which holds a control character. Choose a path without one", from)
	case file == "~" || strings.HasPrefix(file, "~/"):
		return fmt.Errorf("from is %q, and ~ is a shell's word, not a path. Write the path from /", from)
	case slices.Contains(strings.Split(file, "/"), ".."):
		return fmt.Errorf("from is %q, and \"..\" leads to a place that depends on where the project lies. Write the path from /", from)
	}
	return nil
}

// File is the absolute path of the file that the value is in; "" if it is in none.
// A relative one begins in the project's folder.
func (r Reference) File(project string) string {
	source, of, err := parse(r.From)
	switch {
	case err != nil || source != fileSource:
		return ""
	case path.IsAbs(of):
		return path.Clean(of)
	}
	return path.Join(project, of)
}
