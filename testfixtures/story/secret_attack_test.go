package story

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/testfixtures/alone"
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

check "has" {
  command = ["sh", "-c", "test $${#TOKEN} -gt 20 && test $${#KEY} -gt 20 # two"]
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
	d.checking()
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
	cmd := d.command(ctx, "run", "--", "sh", "-c", "echo ready; sleep 60; true")
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

// checking: nor what a check prints that fails.
func (d *den) checking() {
	d.t.Helper()
	const fine, bad = "# two", "; printenv TOKEN; echo told:$KEY; printenv TOKEN | base64 -w0; printf 'x%s' $TOKEN | od -An -tx1 | tr -d ' \\n'; exit 7"
	d.edit(fine, bad)
	for _, args := range [][]string{{"apply", "--auto-approve"}, {"--progress", "json", "apply", "--auto-approve", "--json"}} {
		out := d.tell(10, args...)
		d.said.WriteString(out)
		if strings.Count(out, "***") < 4 || !strings.Contains(out, "told:***") {
			d.t.Errorf("control: the check said nothing: %s", out)
		}
	}
	d.search("checked")
	d.edit(bad, fine)
}

// dying: nor what dies. The journal of an apply whose daemon is killed while a check
// takes its time stays, and is searched.
func (d *den) dying() {
	t := d.t
	t.Helper()
	const fine, slow = "# two", "; sleep 60"
	d.edit(`MODE = "two"`, `MODE = "three"`)
	d.edit(fine, slow)
	d.killedApply()
	if _, err := os.Lstat(filepath.Join(d.env.Dir, "journal.jsonl")); err != nil {
		t.Fatalf("control: %v", err)
	}
	d.search("killed")
	d.blast(0, "status")
	d.search("recovered")
	d.edit(slow, fine)
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

// killedApply kills the daemon while a check runs, and the command, which would start
// another one.
func (d *den) killedApply() {
	d.t.Helper()
	cmd := d.command(d.t.Context(), "--progress", "json", "apply", "--auto-approve")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		d.said.Write(append(lines.Bytes(), '\n'))
		if bytes.Contains(lines.Bytes(), []byte(`"@message":"check has"`)) {
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	d.endDaemon()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		procs, err := d.quarry[0].Processes() // the check itself, until PID 1 has ended it
		if err != nil || time.Now().After(deadline) {
			d.t.Fatalf("the check doesn't end: %+v, %v", procs, err)
		}
		if len(procs) == 0 {
			return
		}
	}
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
