package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/state"
)

// The command is for the shell that it is typed into: what -C chose, and which
// environment, has to be in it.
func TestChoice(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a project")
	if err := os.MkdirAll(filepath.Join(root, ".blast"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pwd, env string
		want     []string
	}{
		{root, "default", nil},
		{filepath.Join(root, "inner"), "default", nil},
		{filepath.Join(root, "inner"), "dev", []string{"-e", "dev"}},
		{"/", "default", []string{"-C", root}},
		{"/", "dev", []string{"-C", root, "-e", "dev"}},
		{"/no/such/folder", "dev", []string{"-e", "dev"}},
		{"", "default", nil},
	} {
		t.Setenv("PWD", c.pwd)
		s := Session{Env: state.Env{Name: c.env, Project: root}}
		if d := cmp.Diff(c.want, s.choice()); d != "" {
			t.Errorf("in %q: %s", c.pwd, d)
		}
	}
}

// A name that was looked up to connect to is told of once.
func TestNameAndConnectionAreOne(t *testing.T) {
	hosts := connected([]denial.Denial{
		{Op: denial.Resolve, Host: "a.example"}, {Op: denial.Connect, Host: "a.example", Port: 80}, {Op: denial.Resolve, Host: "b.example"},
		{Op: denial.Connect, Host: "c.example", Allowed: true}, {Op: denial.Connect, Addr: "192.0.2.1"},
	})
	if d := cmp.Diff(map[string]bool{"a.example": true}, hosts); d != "" {
		t.Error(d)
	}
	text, n := onPipe(t, denial.Denial{Host: "a.example", Command: "python3", Script: "app.py", Where: "lib/x.py:7", Meant: 5432})
	if n != 1 || !strings.Contains(text, "what   a.example, from python3, lib/x.py:7\n") || !strings.Contains(text, "  allow  blast allow a.example:5432\n") {
		t.Errorf("%d %s", n, text)
	}
}
