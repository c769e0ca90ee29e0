package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/leftovers"
)

// A scene is a project whose daemon dies.
type scene struct {
	bin, project string
	env          state.Env
}

const sceneRules = "filesystem {\n  workspace {\n    source = \".\"\n  }\n}\n"

func newScene(t *testing.T) *scene {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	project := newProject(t)
	s := &scene{bin: programs(t), project: project, env: state.NewEnv(project, "default", person, person)}
	t.Cleanup(func() {
		_, _ = s.blast(t, "destroy", "--auto-approve")
		until(t, "something is left", func() bool { return len(s.left(t)) == 0 })
		_ = os.RemoveAll(project)
	})
	s.must(t, "apply", "--auto-approve")
	return s
}

// newProject makes a folder with rules in it.
func newProject(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "blast-killed-") // not t.TempDir: the person must get through
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, person, person), os.WriteFile(filepath.Join(dir, "blast.hcl"), []byte(sceneRules), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// left is all that there is of the project on the host: others may be at work beside.
func (s *scene) left(t *testing.T) []string {
	t.Helper()
	lines, err := leftovers.Find(s.project)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, s.env.ID) && !strings.Contains(l, s.project) })
}

func (s *scene) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, "blast"), args...) //nolint:noctx // tests end what they start
	cmd.Dir = s.project
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", fmt.Sprint("SUDO_UID=", person), fmt.Sprint("SUDO_GID=", person))
	return cmd
}

func (s *scene) blast(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	cmd := s.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	return out.String(), err
}

func (s *scene) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.blast(t, args...)
	if err != nil {
		t.Fatalf("blast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// daemons are the pids of the scene's blastd; there is one or none.
func (s *scene) daemons() []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if exe, err := os.Readlink(dir + "/exe"); err == nil && exe == filepath.Join(s.bin, "blastd") {
			var pid int
			if _, err := fmt.Sscan(filepath.Base(dir), &pid); err == nil && alive(pid) {
				out = append(out, pid)
			}
		}
	}
	return out
}

// killDaemon kills it and waits until it is gone.
func (s *scene) killDaemon(t *testing.T) {
	t.Helper()
	for _, pid := range s.daemons() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		until(t, "the daemon does not end", func() bool { return !alive(pid) })
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// frozen reports whether the environment's processes stand still.
func (s *scene) frozen() bool {
	for _, pattern := range []string{"/sys/fs/cgroup%s/cgroup.events", "/sys/fs/cgroup/unified%s/cgroup.events", "/sys/fs/cgroup/freezer%s/freezer.state"} {
		b, err := os.ReadFile(fmt.Sprintf(pattern, s.env.Cgroup))
		if err == nil && (strings.Contains(string(b), "frozen 1") || strings.Contains(string(b), "FROZEN")) {
			return true
		}
	}
	return false
}

// ticking starts a command in the sandbox that counts, in a file of the workspace.
func (s *scene) ticking(t *testing.T) (cmd *exec.Cmd, ticks func() string) {
	t.Helper()
	cmd = s.command("run", "--", "sh", "-c", "n=0; while :; do n=$((n+1)); echo $n >/workspace/tick; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ticks = func() string {
		b, err := os.ReadFile(filepath.Join(s.project, "tick"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(b)
	}
	until(t, "it doesn't tick", func() bool { return ticks() != "" })
	return cmd, ticks
}

func ticksOn(t *testing.T, when string, ticks func() string) {
	t.Helper()
	was := ticks()
	until(t, when+": commands stand still", func() bool { now := ticks(); return now != "" && now != was })
}

// A daemon that dies while commands stand still leaves them so until there is another
// one: the blast run that waits for them starts it, or else the next command.
func TestKilledWhileFrozen(t *testing.T) {
	s := newScene(t)
	s.must(t, "run", "--", "sh", "-c", "head -c 300M /dev/urandom >~/large; sync")
	cmd, ticks := s.ticking(t)
	for _, attended := range []bool{true, false} {
		if !attended { // nobody waits
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		save := s.command("save", fmt.Sprint("frozen-", attended))
		if err := save.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "nothing is frozen", s.frozen)
		if !attended { // blast save itself would start another daemon, too
			_ = save.Process.Signal(syscall.SIGSTOP)
		}
		s.killDaemon(t)
		if attended {
			ticksOn(t, "attended", ticks)
			_ = save.Wait()
			continue
		}
		if !s.frozen() {
			t.Error("something else let them go on: the test shows nothing")
		}
		was := ticks()
		time.Sleep(200 * time.Millisecond) // in which it counts to thousands
		if now := ticks(); now != was {
			t.Error("they went on by themselves")
		}
		s.must(t, "status")
		ticksOn(t, "the next command", ticks)
		_ = save.Process.Kill()
		_ = save.Wait()
	}
	_ = cmd.Process.Signal(syscall.SIGCONT)
	if out := s.must(t, "snapshots"); !strings.Contains(out, "No snapshots") {
		t.Errorf("half a snapshot:\n%s", out)
	}
	s.must(t, "save", "whole")
	ticksOn(t, "saved", ticks)
	s.must(t, "snapshots", "rm", "whole")
}

// Killed at any moment of a save: commands go on, and there is a whole snapshot or none.
func TestKilledWhileSaving(t *testing.T) {
	s := newScene(t)
	s.must(t, "run", "--", "sh", "-c", "head -c 40M /dev/urandom >~/large; for i in $(seq 500); do echo $i >~/f$i; done; sync")
	_, ticks := s.ticking(t)
	begun := time.Now()
	s.must(t, "save", "first")
	whole := time.Since(begun)
	died, saved := 0, 0
	for i := range 20 {
		name := fmt.Sprint("n", i)
		save := s.command("save", name)
		if err := save.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(whole * 3 / 2))))
		who := []string{"daemon", "command", "person"}[i%3]
		switch who {
		case "daemon":
			s.killDaemon(t)
		case "command":
			_ = save.Process.Kill()
		case "person":
			_ = save.Process.Signal(os.Interrupt)
		}
		if save.Wait() != nil {
			died++
		}
		if code := save.ProcessState.ExitCode(); who == "person" && code != 0 && code != 130 && save.ProcessState.Exited() {
			t.Errorf("interrupted, it exits with %d", code)
		}
		s.must(t, "status")
		ticksOn(t, "killed the "+who, ticks)
		out := s.must(t, "snapshots")
		if strings.Contains(out, name+" ") {
			saved++
			if out := s.must(t, "snapshots", "diff", "first", name); out != "No difference.\n" && !strings.Contains(out, "0 removed") {
				t.Errorf("it is not whole:\n%s", out)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(s.env.Dir, "layer*")); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
	t.Logf("a save takes %v; died in %d of 20, %d were saved", whole, died, saved)
	if died == 0 {
		t.Error("never struck while it worked: the test shows nothing")
	}
	s.must(t, "save", "last") // sweeps what nobody refers to
	blobs, err := os.ReadDir(filepath.Join(state.SnapshotsDir(s.project), "blobs/sha256"))
	if err != nil || len(blobs) > 3*(saved+2) {
		t.Errorf("%d blobs of %d snapshots (%v)", len(blobs), saved+2, err)
	}
	names := []string{"snapshots", "rm"}
	for line := range strings.Lines(s.must(t, "snapshots")) {
		if name := strings.Fields(line)[0]; name != "NAME" {
			names = append(names, name)
		}
	}
	s.must(t, names...)
	if _, err := os.Lstat(state.SnapshotsDir(s.project)); err == nil {
		t.Error("the store is left")
	}
}

// Killed at any moment of a load: all is as it was, or as the snapshot says.
func TestKilledInALoad(t *testing.T) {
	s := newScene(t)
	s.must(t, "run", "--", "sh", "-c", "head -c 40M /dev/urandom >~/large; for i in $(seq 500); do echo $i >~/f$i; done; echo saved >~/file")
	s.must(t, "save", "clean")
	whole := time.Duration(0)
	died, done := 0, 0
	for i := range 17 {
		s.must(t, "run", "--", "sh", "-c", fmt.Sprintf("echo later%d >~/file; rm -f ~/f1", i))
		load := s.command("load", "clean", "--auto-approve")
		begun := time.Now()
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			time.Sleep(time.Duration(rand.Int64N(int64(whole))))
			s.killDaemon(t)
		}
		if load.Wait() != nil {
			died++
		}
		if i == 0 {
			whole = time.Since(begun)
		}
		out := s.must(t, "plan")
		if strings.Contains(out, "outside of Blast") {
			t.Errorf("neither the one nor the other:\n%s", out)
		}
		switch out := s.must(t, "run", "--", "sh", "-c", "cat ~/file; ls ~ | wc -l"); out {
		case "saved\n502\n":
			done++
		case fmt.Sprintf("later%d\n501\n", i):
		default:
			t.Errorf("neither the one nor the other: %q", out)
		}
		if left, _ := filepath.Glob(filepath.Join(s.env.Dir, "layer*")); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
	t.Logf("a load takes %v; died in %d of 16, %d were loaded all the same", whole, died, done-1)
	if died == 0 {
		t.Error("never struck while it worked: the test shows nothing")
	}
	s.must(t, "load", "clean", "--auto-approve")
	if out := s.must(t, "run", "--", "sh", "-c", "cat ~/file; ls ~ | wc -l"); out != "saved\n502\n" {
		t.Errorf("%q", out)
	}
	s.must(t, "snapshots", "rm", "clean")
}
