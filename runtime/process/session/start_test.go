package session

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

func TestCommandEnv(t *testing.T) {
	for _, name := range passedOn {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TERM", "vt100")
	t.Setenv("BLAST_TEST_A", "hush")
	t.Setenv("BLAST_TEST_PASS", "passed")
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	d := command.Defaults{
		Vars:    map[string]string{"TERM": "dumb", "V": "var", "A": "var"},
		Secrets: []secret.Reference{{Name: "A", From: "env:BLAST_TEST_A"}, {Name: "B", From: "env:BLAST_TEST_NONE"}},
	}
	for what, c := range map[string]struct {
		setEnv  []string
		want    []string
		missing string
	}{
		"by hand":              {[]string{"B=by hand", "BLAST_TEST_PASS"}, []string{"A=hush", "B=by hand", "BLAST_TEST_PASS=passed", "PYTHONPATH=/run/blast/python", "TERM=dumb", "V=var"}, ""},
		"by hand, both":        {[]string{"B=", "A=mine", "V=mine", "PYTHONPATH=src"}, []string{"A=mine", "B=", "PYTHONPATH=/run/blast/python:src", "TERM=dumb", "V=mine"}, ""},
		"none":                 {nil, nil, "secret B has no value: it comes from env:BLAST_TEST_NONE"},
		"passed on, but unset": {[]string{"B"}, nil, "secret B has no value"},
	} {
		got, missing := commandEnv(d, env, c.setEnv)
		if c.missing != "" {
			if len(missing) != 1 || !strings.Contains(missing[0].Error(), c.missing) || strings.Contains(missing[0].Error(), "hush") {
				t.Errorf("%s: %v", what, missing)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" || len(missing) > 0 {
			t.Errorf("%s: %s %v", what, d, missing)
		}
	}
}

// Nothing is started without a secret, and all that are missing are named with
// their lines.
func TestMissingSecretsAreNamed(t *testing.T) {
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	st := state.State{Objects: []plan.Object{{Addr: "process.environment", Src: map[string]string{"": "blast.hcl:1", "secret.A": "blast.hcl:3"}}}}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := Session{Env: env, Args: []string{"true"}, Stderr: w}
	d := command.Defaults{Socket: "/nowhere", Secrets: []secret.Reference{{Name: "A", From: "file:absent"}, {Name: "B", From: "env:BLAST_TEST_NONE"}}}
	code := s.start(t.Context(), &client.Client{}, d, st)
	_ = w.Close()
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if code != ExitFailed {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"blast: secret A has no value: it comes from file:absent, and there is no file " + env.Project + "/absent", "blast.hcl:3\n", "blast: secret B"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("no %q in:\n%s", want, said)
		}
	}
}
