package main

import (
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/process/session"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]struct {
		s   session.Session
		env string
	}{
		"run true":                              {session.Session{Args: []string{"true"}}, ""},
		"run -- true":                           {session.Session{Args: []string{"true"}}, ""},
		"run -- -x --env":                       {session.Session{Args: []string{"-x", "--env"}}, ""},
		"run ls --env dev -- x":                 {session.Session{Args: []string{"ls", "--env", "dev", "--", "x"}}, ""},
		"--env dev run ls":                      {session.Session{Args: []string{"ls"}}, "dev"},
		"-e dev run ls":                         {session.Session{Args: []string{"ls"}}, "dev"},
		"run --env=dev -- ls":                   {session.Session{Args: []string{"ls"}}, "dev"},
		"run --set-env A=b=c --set-env B -- ls": {session.Session{Args: []string{"ls"}, SetEnv: []string{"A=b=c", "B"}}, ""},
		"run --set-env=A=b --dir /tmp -- ls":    {session.Session{Args: []string{"ls"}, SetEnv: []string{"A=b"}, Dir: "/tmp"}, ""},
		"run --fail-on denied -- ls":            {session.Session{Args: []string{"ls"}, FailOnDenied: true}, ""},
	} {
		s, env, ok := parse(strings.Fields(line))
		if !ok || env != want.env || !slices.Equal(s.Args, want.s.Args) || !slices.Equal(s.SetEnv, want.s.SetEnv) || s.Dir != want.s.Dir || s.FailOnDenied != want.s.FailOnDenied {
			t.Errorf("%s: %+v %q %v", line, s, env, ok)
		}
	}
}

// Whatever could mean something else is for blast-cli to read.
func TestParseLeavesTheRest(t *testing.T) {
	for _, line := range []string{
		"", "--help", "-h", "version", "plan", "apply --auto-approve", "run", "run --", "run --help", "run -h ls", "--help run ls", "run --fail-on x -- ls", "run --unknown x -- ls",
		"run --env", "run --env= -- ls", "run --set-env= -- ls", "run --dir --set-env ls", "run --dir sub -- ls", "-C dir run ls", "--no-color run ls", "--progress=plain run ls", "-e=dev run ls", "-edev run ls", "--dir /tmp run ls", "-env dev run ls", "-- run ls", "shell", "runn ls",
	} {
		if s, env, ok := parse(strings.Fields(line)); ok {
			t.Errorf("%s: %+v %q", line, s, env)
		}
	}
}
