package main

import (
	"strings"

	"blast.example/blast/runtime/process/session"
)

// parse understands
//
//	blast [-e ENV] run [-e ENV] [--set-env NAME[=VALUE]]... [--dir DIR] [--fail-on denied] [--] COMMAND...
//
// and nothing that is not exactly like it. Flags of a command begin after its name.
func parse(args []string) (s session.Session, env string, ok bool) {
	verb := false
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" && verb {
			break
		}
		if !strings.HasPrefix(arg, "-") {
			if verb { // the command, without "--"
				args = append([]string{arg}, args...)
				break
			}
			if arg != "run" {
				return s, "", false
			}
			verb = true
			continue
		}
		name, value, given := strings.Cut(arg, "=")
		if given && !strings.HasPrefix(name, "--") {
			return s, "", false
		}
		if !given {
			if len(args) == 0 {
				return s, "", false
			}
			value, args = args[0], args[1:]
		}
		if value == "" || !take(&s, &env, verb, name, value) {
			return s, "", false
		}
	}
	s.Args = args
	return s, env, verb && len(args) > 0
}

// take notes one flag and reports whether it is known. Those of run come after it.
func take(s *session.Session, env *string, verb bool, name, value string) bool {
	switch {
	case name == "--env" || name == "-e" && !strings.HasPrefix(value, "-"):
		*env = value
	case !verb || strings.HasPrefix(value, "-"):
		return false
	case name == "--set-env":
		s.SetEnv = append(s.SetEnv, value)
	case name == "--dir" && strings.HasPrefix(value, "/"):
		s.Dir = value
	case name == "--fail-on" && value == "denied":
		s.FailOnDenied = true
	default:
		return false
	}
	return true
}
