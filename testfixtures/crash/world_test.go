package crash

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/leftovers"
	"blast.example/blast/testfixtures/pypi"
)

// A world is a project and the programs that act on it.
type world struct {
	bin, project string
	env          state.Env
	index        *url.URL
	crash        string // BLAST_CRASH of the next daemon
	note         string // file in which that one notes what it does
	before       uint64 // the generation before the current one, when a story begins
}

func newWorld(t *testing.T, bin string) *world {
	t.Helper()
	return newWorldIn(t, bin, t.TempDir())
}

func newWorldIn(t *testing.T, bin, project string) *world {
	t.Helper()
	w := &world{
		bin: bin, project: project, env: state.NewEnv(project, "default", 0, 0),
		index: serve(t), note: filepath.Join(t.TempDir(), "note"),
	}
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

// needs is what every test here needs: the programs, and the machine's one daemon.
func needs(t *testing.T) (bin string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	bin, err := bins()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// every is n if every nth of all that can be struck is: make crash. It is 0 if a sample is.
var every, _ = strconv.Atoi(os.Getenv("BLAST_CRASH_EVERY"))

// some of n are struck: few, spread over all and the same ones each time, or as many as
// every says.
func some(n, few int) []int {
	if every > 0 {
		few = (n + every - 1) / every
	}
	few = min(few, n)
	out := make([]int, few)
	for i := range out {
		out[i] = (2*i + 1) * n / (2 * few)
	}
	return out
}

// bins builds the real command line and PID 1 beside the daemon that dies, once.
var bins = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "blast-crash-bin-")
	if err != nil {
		return "", err
	}
	for name, b := range map[string]struct{ pkg, cgo string }{
		"blast":      {"blast.example/blast/cmd/blast", "0"},
		"blast-init": {"blast.example/blast/cmd/blast-init", "0"},
		"blastd":     {"blast.example/blast/testfixtures/crash/blastd", "1"},
	} {
		cmd := exec.Command("go", "build", "-tags", "seccomp", "-o", filepath.Join(dir, name), b.pkg) //nolint:noctx // it ends by itself
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

// serve starts an index with what the stories ask for. One wheel is not what its index
// says.
func serve(t *testing.T) *url.URL {
	t.Helper()
	x := pypi.New()
	for _, v := range []string{"1.0", "2.0", "3.0", broken} {
		w := pypi.Wheel{Name: "greet", Version: v, Files: map[string]string{"greet.py": "version = " + strconv.Quote(v) + "\n"}}
		if err := x.Add(w); err != nil {
			t.Fatal(err)
		}
		if v == broken {
			x.Break("/files/"+w.Filename(), pypi.Fault{Tamper: true})
		}
	}
	u, err := url.Parse(pypi.Serve(t, x))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// broken is a version that can't be installed.
const broken = "4.0"

// write puts a blast.hcl in place, without which there is nothing to apply.
func (w *world) write(t *testing.T, text string) {
	t.Helper()
	text = strings.NewReplacer("INDEX", w.index.String(), "PORT", w.index.Port()).Replace(text)
	if err := os.WriteFile(filepath.Join(w.project, "blast.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "blast"), args...)
	cmd.Dir = w.project
	cmd.Env = append(os.Environ(), "BLAST_CRASH="+w.crash, "BLAST_CRASH_NOTE="+w.note, "LANG=C.UTF-8")
	return cmd
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

func (w *world) must(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, code := w.blast(t, args...)
	if code != want {
		t.Fatalf("blast %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// noted returns what daemons that die when told did, and what they were killed at, and
// forgets it.
func (w *world) noted(t *testing.T) (steps, kills []string) {
	t.Helper()
	b, err := os.ReadFile(w.note)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = os.Remove(w.note)
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "killed ") {
			kills = append(kills, line)
		} else {
			steps = append(steps, line)
		}
	}
	return steps, kills
}

// daemons are the pids of this world's daemon: one or none. One that is not ours fails
// the test.
func (w *world) daemons(t *testing.T) []int {
	t.Helper()
	lines, err := leftovers.Find() // of a project alone, it may be somebody else's
	if err != nil {
		t.Fatal(err)
	}
	var out []int
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
		out = append(out, pid)
	}
	return out
}

// stopDaemon kills the daemon that is there, and waits until it is gone.
func (w *world) stopDaemon(t *testing.T) {
	t.Helper()
	for _, pid := range w.daemons(t) {
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
