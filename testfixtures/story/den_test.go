package story

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/hunt"
)

// den is a project with three secrets: one in the environment of its person's shell,
// one in a file of theirs, one the value of a variable.
type den struct {
	t                   *testing.T
	bin, project, cache string
	env                 state.Env
	vars                []string
	quarry              []hunt.Quarry
	said                bytes.Buffer // by all commands that should not tell
	values              map[string]string
}

func newDen(t *testing.T) *den {
	t.Helper()
	root, err := os.MkdirTemp("", "blast-secret-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	d := &den{t: t, bin: programs(t), project: filepath.Join(root, "project"), cache: t.TempDir(), values: map[string]string{}}
	for _, name := range []string{"token", "key", "pin"} {
		d.values[name] = "p/" + rand.Text() + "+&"
		d.quarry = append(d.quarry, hunt.For(name, d.values[name]))
	}
	keyFile := filepath.Join(root, "key")
	files := map[string]string{keyFile: d.values["key"] + "\n", filepath.Join(d.project, "blast.hcl"): strings.Replace(secretsHCL, "KEYFILE", keyFile, 1)}
	if err := errors.Join(os.Chmod(root, 0o755), os.Mkdir(d.project, 0o755)); err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{root, d.project, keyFile, filepath.Join(d.project, "blast.hcl")} {
		if err := os.Chown(path, person, person); err != nil {
			t.Fatal(err)
		}
	}
	d.env = state.NewEnv(d.project, "default", person, person)
	d.vars = append(os.Environ(), fmt.Sprintf("SUDO_UID=%d", person), fmt.Sprintf("SUDO_GID=%d", person), "LANG=C.UTF-8", "GITHUB_ACTIONS=true",
		"XDG_CACHE_HOME="+d.cache, "TOKEN_OF_ME="+d.values["token"], "BLAST_VAR_pin="+d.values["pin"])
	return d
}

func (d *den) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "blast"), args...)
	cmd.Dir, cmd.Env = d.project, d.vars
	return cmd
}

// blast runs a command that must not tell, remembers what it said, and checks how it
// ended; -1 is any way.
func (d *den) blast(want int, args ...string) {
	d.t.Helper()
	d.said.WriteString(d.tell(want, args...))
}

// tell runs one that prints secrets on purpose.
func (d *den) tell(want int, args ...string) string {
	d.t.Helper()
	out, err := d.command(d.t.Context(), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	if code != want && want >= 0 {
		d.t.Fatalf("blast %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return string(out)
}

// places are where what must not be there could be.
func (d *den) places() []string {
	return []string{d.project, state.RunRoot, d.cache, "/var/cache/blast"}
}

// search looks for all values everywhere, and returns how many files it read.
func (d *den) search(when string) int {
	d.t.Helper()
	n := 0
	for _, q := range d.quarry {
		if how := q.In(d.said.Bytes()); how != "" {
			d.t.Errorf("%s: %s was printed %s:\n%s", when, q.Name, how, d.said.String())
		}
		for _, place := range d.places() {
			if _, err := os.Lstat(place); err != nil {
				continue
			}
			found, read, err := q.Files(place)
			if err != nil {
				d.t.Fatal(err)
			}
			for _, f := range found {
				d.t.Errorf("%s: %s", when, f)
			}
			n += read
		}
		procs, err := q.Processes()
		if err != nil {
			d.t.Fatal(err)
		}
		for _, p := range procs {
			// The caller's own shell, and what it calls, has variables.
			if own := p.Name == "blast" || p.Name == "blast-cli"; !own || p.File != "environ" {
				d.t.Errorf("%s: %s of process %d (%s) has %s %s", when, p.File, p.PID, p.Name, q.Name, p.How)
			}
		}
	}
	return n
}

func (d *den) edit(old, text string) {
	d.t.Helper()
	path := filepath.Join(d.project, "blast.hcl")
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), old) {
		d.t.Fatalf("blast.hcl has no %q, %v", old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, text, 1)), 0o600); err != nil {
		d.t.Fatal(err)
	}
}
