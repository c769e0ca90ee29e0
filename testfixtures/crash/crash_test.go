// Package crash kills the daemon before and after everything that it does to the
// host, and looks at what the next command makes of it: the old state whole or
// the new one, nothing orphaned, and an apply that works.
package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/leftovers"
	"blast.example/blast/testfixtures/pypi"
)

// A story is one apply: from a blast.hcl, possibly none, to another.
type story struct {
	before, after string
	replaces      bool // a new container takes the place of the old
}

// small has a bit of every kind, and one generation: the history is the same size in
// every state.
const small = `
blast {
  generations = 1
}
python {
  index = ["INDEX"]
}
package "greet" {
  version = "== 1.0"
}
network {
  egress "index" {
    cidrs  = ["127.0.0.1/32"]
    ports  = [PORT]
    during = ["apply"]
  }
}
filesystem {
  workspace {
    source = "."
  }
}
resource {
  pids {
    max = 64
  }
}
`

// live differs from small in every kind, in what changes without a restart.
var live = strings.NewReplacer("max = 64", "max = 65", "== 1.0", "== 2.0",
	"network {\n", "network {\n  egress \"db\" {\n    cidrs = [\"192.0.2.0/24\"]\n    ports = [5432]\n  }\n",
	"source = \".\"", "source = \".\"\n    hide = [\"secrets\"]").Replace(small) + "env = {\n  MODE = \"live\"\n}\n"

var stories = map[string]story{
	"create":  {"", small, false},
	"update":  {small, live, false},
	"replace": {small, small + "process {\n  user = \"1000\"\n}\n", true},
	"destroy": {small, "", false},
}

// serve starts an index with what small and live ask for.
func serve(t *testing.T) *url.URL {
	t.Helper()
	x := pypi.New()
	for _, v := range []string{"1.0", "2.0"} {
		w := pypi.Wheel{Name: "greet", Version: v, Files: map[string]string{"greet.py": "version = " + strconv.Quote(v) + "\n"}}
		if err := x.Add(w); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(pypi.Serve(t, x))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// bins builds the real command line and PID 1 beside the daemon that dies.
func bins(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string]struct{ pkg, cgo string }{
		"blast":      {"blast.example/blast/cmd/blast", "0"},
		"blast-init": {"blast.example/blast/cmd/blast-init", "0"},
		"blastd":     {"blast.example/blast/testfixtures/crash/blastd", "1"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "seccomp", "-o", filepath.Join(dir, name), b.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

// world is a project and the programs that act on it.
type world struct {
	bin, project string
	index        *url.URL
	crash        string // BLAST_CRASH of the next daemon
}

func (w *world) blast(t *testing.T, args ...string) (string, int) {
	t.Helper()
	// A cleanup's commands run, too, though the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cmd := w.command(ctx, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("blast %v: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "blast"), args...)
	cmd.Dir = w.project
	cmd.Env = append(os.Environ(), "BLAST_CRASH="+w.crash, "LANG=C.UTF-8")
	return cmd
}

func (w *world) must(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, code := w.blast(t, args...)
	if code != want {
		t.Fatalf("blast %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// write puts a blast.hcl in place, without which there is nothing to apply.
func (w *world) write(t *testing.T, text string) {
	t.Helper()
	text = strings.NewReplacer("INDEX", w.index.String(), "PORT", w.index.Port()).Replace(text)
	if err := os.WriteFile(filepath.Join(w.project, "blast.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// to runs the verb that leads to a state.
func (w *world) to(t *testing.T, text string) (string, int) {
	t.Helper()
	if text == "" {
		return w.blast(t, "destroy", "--auto-approve")
	}
	w.write(t, text)
	return w.blast(t, "apply", "--auto-approve")
}

// inventory is all that Blast has on the host, without numbers that differ from
// one process, container or temporary name to the next.
func (w *world) inventory(t *testing.T) []string {
	t.Helper()
	lines, err := leftovers.Find(w.project)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		if strings.Contains(l, "blastd") || strings.HasSuffix(l, "/denied.ndjson") || l == "file /run/blast" || strings.HasPrefix(l, "cgroup ") && strings.HasSuffix(l, "/blast") {
			continue // the daemon itself; the record of refusals; folders that all environments share
		}
		out = append(out, numbers.ReplaceAllString(l, "N"))
	}
	slices.Sort(out)
	return out
}

var numbers = regexp.MustCompile(`(^process )?\b[0-9]+\b`)

// stopDaemon ends the daemon that is there, so that the next one crashes when told.
func (w *world) stopDaemon(t *testing.T) {
	t.Helper()
	lines, err := leftovers.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		var pid int
		if n, _ := fmt.Sscanf(l, "process %d blastd", &pid); n != 1 || !strings.HasSuffix(l, " blastd") {
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			continue // it has ended
		}
		if exe != filepath.Join(w.bin, "blastd") {
			t.Fatalf("a daemon that is not ours runs: %s (%s)", l, exe)
		}
		end(t, pid)
	}
}

// end kills a process and waits until it is gone.
func end(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d does not end", pid)
}

func TestKillAtEveryStep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	bin := bins(t)
	for _, name := range []string{"create", "update", "replace", "destroy"} {
		t.Run(name, func(t *testing.T) { newWorld(t, bin).story(t, stories[name]) })
	}
}

// Between two steps is not the only moment at which a process can die: this one
// is killed whenever the dice say.
func TestKillAtAnyMoment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	bin := bins(t)
	for _, name := range []string{"create", "update", "replace", "destroy"} {
		t.Run(name, func(t *testing.T) {
			w, s := newWorld(t, bin), stories[name]
			w.settle(t, s.before)
			old := w.inventory(t)
			start := time.Now()
			w.settle(t, s.after)
			whole := time.Since(start)
			fresh := w.inventory(t)
			died := 0
			for range 12 {
				w.settle(t, s.before)
				if w.struck(t, s, time.Duration(rand.Int64N(int64(whole)))) {
					died++
				}
				w.findsWhole(t, s, "struck", old, fresh)
			}
			t.Logf("died in %d of 12", died)
			if died == 0 {
				t.Error("never struck while it worked: the test shows nothing")
			}
		})
	}
}

// struck runs the story and kills the daemon after a while. It reports whether
// that stopped it.
func (w *world) struck(t *testing.T, s story, after time.Duration) bool {
	t.Helper()
	args := []string{"apply", "--auto-approve"}
	if s.after == "" {
		args[0] = "destroy"
	} else {
		w.write(t, s.after)
	}
	cmd := w.command(t.Context(), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	w.stopDaemon(t)
	return cmd.Wait() != nil
}

func newWorld(t *testing.T, bin string) *world {
	t.Helper()
	w := &world{bin: bin, project: t.TempDir(), index: serve(t)}
	w.write(t, small)
	t.Cleanup(func() {
		w.crash = ""
		w.stopDaemon(t)
		w.write(t, small)
		w.must(t, 0, "destroy", "--auto-approve")
		w.stopDaemon(t)
	})
	return w
}

// story plays one story without a crash, to know both states and to count, and
// then again and again, dying one step later each time.
func (w *world) story(t *testing.T, s story) {
	w.settle(t, s.before)
	old := w.inventory(t)
	w.settle(t, s.after)
	fresh := w.inventory(t)
	if !s.replaces && s.before != s.after && s.after != live && slices.Equal(old, fresh) {
		t.Fatal("both states look the same: the test sees nothing")
	}
	steps := 0
	for at := 1; ; at++ {
		for _, when := range []string{"before", "after"} {
			w.settle(t, s.before)
			if !w.dies(t, s, fmt.Sprintf("%d:%s", at, when), old, fresh) {
				t.Logf("%d steps, each died at before and after", steps)
				if steps < 4 {
					t.Fatalf("only %d steps: the story is too short to show anything", steps)
				}
				return
			}
		}
		steps++
	}
}

// settle brings the project into a state, with a daemon that lives.
func (w *world) settle(t *testing.T, text string) {
	t.Helper()
	w.crash = ""
	if out, code := w.to(t, text); code != 0 {
		t.Fatalf("settle: exit %d\n%s", code, out)
	}
}

// dies runs the story with a daemon that dies when told, and checks what the next
// commands find. It reports whether the daemon died at all.
func (w *world) dies(t *testing.T, s story, when string, old, fresh []string) bool {
	t.Helper()
	w.stopDaemon(t)
	w.crash = when
	out, code := w.to(t, s.after)
	w.crash = ""
	w.stopDaemon(t)                                         // one that the command started after the first dies when told, too
	if code == 0 && !strings.Contains(out, "blastd died") { // one that finishes what another began has done well
		return false
	}
	w.findsWhole(t, s, when+"\n"+out, old, fresh)
	return true
}

// findsWhole asks for a plan, which recovers, and checks that the host has all of
// the old state or all of the new one. Then the story must go through.
func (w *world) findsWhole(t *testing.T, s story, when string, old, fresh []string) {
	t.Helper()
	args := []string{"plan", "--detailed-exitcode"}
	if s.after == "" {
		args = append(args, "--destroy")
	}
	planned, code := w.blast(t, args...)
	now := w.inventory(t)
	switch code {
	case 0: // the new state
		if !slices.Equal(now, fresh) {
			t.Fatalf("%s: the plan is empty, but the host has\n%s\n%s", when, difference(now, fresh), planned)
		}
	case 2: // the old state
		if !slices.Equal(now, old) {
			t.Fatalf("%s: not the old state whole: the host has\n%s\n%s", when, difference(now, old), planned)
		}
		if strings.Contains(planned, "outside of Blast") {
			t.Fatalf("%s: the old state is not what it was:\n%s", when, planned)
		}
	default:
		t.Fatalf("%s: plan exits with %d\n%s", when, code, planned)
	}
	if out, code := w.to(t, s.after); code != 0 {
		t.Fatalf("%s: the next apply: exit %d\n%s", when, code, out)
	}
	if now := w.inventory(t); !slices.Equal(now, fresh) {
		t.Fatalf("%s: after the next apply the host has\n%s", when, difference(now, fresh))
	}
	if s.after == "" {
		return
	}
	want := "1.0"
	if s.after == live {
		want = "2.0"
	}
	if out := w.must(t, 0, "run", "--", "python", "-c", "import greet; print(greet.version)"); !strings.Contains(out, want) {
		t.Fatalf("%s: run says %q", when, out)
	}
}

// difference lists what is there and should not be (+), and the other way round (-).
func difference(got, want []string) string {
	var out []string
	for _, l := range got {
		if !slices.Contains(want, l) {
			out = append(out, "+ "+l)
		}
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			out = append(out, "- "+l)
		}
	}
	return fmt.Sprintf("%d things, want %d\n%s", len(got), len(want), strings.Join(out, "\n"))
}
