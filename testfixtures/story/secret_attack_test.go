package story

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/hunt"
	"blast.example/blast/testfixtures/leftovers"
)

const secretsHCL = `variable "pin" {
  sensitive = true

  validation {
    condition     = length(var.pin) > 3
    error_message = "No PIN: ${var.pin}."
  }
}

secret "TOKEN" {
  from = "env:TOKEN_OF_ME"
}

secret "KEY" {
  from = "file:KEYFILE"
}

env = {
  MODE = "one"
}

filesystem {
  workspace {
    source = "."
    access = "rw"
  }
}

network {
}

output "pin" {
  value = var.pin
}
`

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
func (d *den) places() []string { return []string{d.project, state.RunRoot, d.cache, "/var/cache/blast"} }

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

// TestSecretsGoNowhere: the values of secrets and of sensitive variables are in no
// file, log, output or argument, whatever is done and however it fails.
func TestSecretsGoNowhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	d := newDen(t)
	defer func() {
		d.blast(-1, "destroy", "--auto-approve")
		nothingLeft(t, d.project)
	}()
	for _, args := range [][]string{
		{"validate"}, {"validate", "--json"}, {"plan"}, {"plan", "--json"}, {"plan", "--out", "saved"}, {"show", "saved"}, {"show", "saved", "--json"},
		{"--progress", "json", "apply", "saved"}, {"show"}, {"show", "--json"}, {"status"}, {"status", "--json"}, {"plan", "--destroy", "--json"},
	} {
		d.blast(0, args...)
	}
	if n := d.search("applied"); n < 20 {
		t.Fatalf("only %d files were searched", n)
	}
	d.running()
	d.failing()
	d.dying()
	d.goingBack()
	d.controls()
	d.blast(0, "--progress", "json", "destroy", "--auto-approve", "--json")
	d.search("destroyed")
}

// running: the command has the values, and those of its user; nobody else does.
func (d *den) running() {
	t := d.t
	t.Helper()
	if got, want := d.tell(0, "run", "--", "printenv", "TOKEN", "KEY"), d.values["token"]+"\n"+d.values["key"]+"\n"; got != want {
		t.Fatalf("control: the command has %q, not %q", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := d.command(ctx, "run", "--", "sh", "-c", "echo ready; exec sleep 60")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	for _, q := range d.quarry[:2] {
		procs, err := q.Processes()
		if err != nil {
			t.Fatal(err)
		}
		inside := 0
		for _, p := range procs {
			switch {
			case p.File == "environ" && (p.Name == "sh" || p.Name == "sleep"):
				inside++
			case p.File != "environ" || p.PID != cmd.Process.Pid:
				t.Errorf("while it runs: %s of %s has %s %s", p.File, p.Name, q.Name, p.How)
			}
		}
		if inside == 0 {
			t.Errorf("control: no process inside has %s", q.Name)
		}
	}
	// Another command of the same sandbox can read it there, too; not of PID 1.
	peers := d.tell(0, "run", "--set-env", "TOKEN=", "--set-env", "KEY=", "--", "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep ^TOKEN=p; cat /proc/1/environ /proc/1/cmdline 2>&1; true")
	if !strings.Contains(peers, "TOKEN="+d.values["token"]) || !strings.Contains(peers, "/proc/1/environ: Permission denied") {
		t.Errorf("what a command sees of others: %s", peers)
	}
	cancel()
	_ = cmd.Wait()
}

// failing: what goes wrong doesn't tell.
func (d *den) failing() {
	d.t.Helper()
	d.edit("network {", "network {\n  ingress \"web\" {\n    port    = 8000\n    publish = \"127.0.0.1:PORT\"\n  }")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	d.edit("PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	d.edit(`MODE = "one"`, `MODE = "two"`)
	d.blast(10, "--progress", "json", "apply", "--auto-approve")
	d.blast(10, "apply", "--auto-approve", "--json")
	_ = l.Close()
	d.search("rolled back")

	d.edit(`MODE = "two"`, `MODE = var.pin`)
	d.blast(78, "plan")
	d.edit(`MODE = var.pin`, `MODE = tostring(parseint(var.pin, 10))`)
	d.blast(78, "validate", "--json")
	d.edit(`MODE = tostring(parseint(var.pin, 10))`, `MODE = "two"`)
	d.edit("length(var.pin) > 3", "length(var.pin) > 300")
	d.blast(78, "plan")
	d.edit("length(var.pin) > 300", "length(var.pin) > 3")
	for _, cmd := range []string{"no-such-program", "/etc", "/etc/passwd"} {
		d.blast(-1, "run", "--", cmd)
	}
	d.blast(126, "run", "--dir", "/absent", "--", "true")
	d.blast(-1, "run", "--fail-on", "denied", "--", "python3", "-c", "import socket; socket.create_connection(('192.0.2.1', 443), 1)")
	d.search("failed")
}

// dying: nor what dies. The journal of an apply whose daemon is killed stays, and is
// searched.
func (d *den) dying() {
	t := d.t
	t.Helper()
	journal := filepath.Join(d.env.Dir, "journal.jsonl")
	mode := "two"
	for try := 0; ; try++ {
		next := fmt.Sprintf("mode-%d", try)
		d.edit(mode, next)
		mode = next
		d.killedApply()
		if _, err := os.Lstat(journal); err == nil {
			break
		}
		if try == 30 {
			t.Fatal("no apply could be killed in the middle")
		}
	}
	d.search("killed")
	d.blast(0, "status")
	d.search("recovered")
	d.blast(0, "apply", "--auto-approve")
	d.endDaemon()
	d.search("without a daemon")
	if got := d.tell(0, "run", "--", "printenv", "TOKEN"); strings.TrimSpace(got) != d.values["token"] {
		t.Errorf("after the daemon's death: %q", got)
	}
}

// goingBack: nor what compares and goes back.
func (d *den) goingBack() {
	d.t.Helper()
	d.blast(0, "history")
	d.blast(0, "history", "--json")
	d.blast(0, "diff", "1")
	d.blast(0, "rollback", "1", "--out", "back")
	d.blast(0, "show", "back", "--json")
	d.blast(0, "--progress", "json", "rollback", "1", "--auto-approve")
	d.search("gone back")
}

// killedApply kills the daemon as soon as it says that it does something.
func (d *den) killedApply() {
	d.t.Helper()
	cmd := d.command(d.t.Context(), "--progress", "json", "apply", "--auto-approve")
	var stderr bytes.Buffer
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = &stderr, w
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait(); _ = w.Close() }()
	buf := make([]byte, 4096)
	for killed := false; ; {
		n, err := r.Read(buf)
		stderr.Write(buf[:n])
		if err != nil {
			break
		}
		if !killed && bytes.Contains(stderr.Bytes(), []byte(`"phase":"doing"`)) {
			d.endDaemon()
			killed = true
		}
	}
	<-done
	d.said.Write(stderr.Bytes())
}

// endDaemon kills blastd and waits until it is gone.
func (d *den) endDaemon() {
	d.t.Helper()
	lines, err := leftovers.Find()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, l := range lines {
		var pid int
		if n, _ := fmt.Sscanf(l, "process %d", &pid); n != 1 || !strings.HasSuffix(l, " blastd") {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			d.t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				d.t.Fatalf("%s does not end", l)
			}
		}
	}
}

// controls: the search would have found it in each of those places.
func (d *den) controls() {
	t := d.t
	t.Helper()
	q := d.quarry[0]
	for _, path := range []string{filepath.Join(d.env.Dir, "control"), filepath.Join(d.env.Run, "control"), filepath.Join(d.cache, "control"), filepath.Join(d.project, "control")} {
		if err := os.WriteFile(path, []byte("x"+d.values["token"]+"y"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, _, err := q.Files(d.places()[0], d.places()[1], d.places()[2])
		if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], path+" ") {
			t.Errorf("control: of %s it finds %q, %v", path, found, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	// A command may write down what it has: then it is in the writable layer.
	d.blast(0, "run", "--", "sh", "-c", "printenv TOKEN >/var/tmp/written; sync")
	layer := filepath.Join(d.env.Dir, "layer.img")
	if found, _, err := q.Files(layer); err != nil || len(found) != 1 {
		t.Errorf("control: the layer has %q, %v", found, err)
	}
}
