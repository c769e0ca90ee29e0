//go:build linux

package host_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

// hostnames are those of the sandbox that commands go to, and of the one that was
// applied: "none" if there is none.
func hostnames(t *testing.T, env state.Env) string {
	t.Helper()
	var names []string
	for _, load := range []func(state.Env) (command.Defaults, error){command.Load, command.LoadApplied} {
		d, err := load(env)
		if err != nil {
			t.Fatal(err)
		}
		if d.Socket == "" {
			names = append(names, "none")
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		code, err := command.Run(t.Context(), d.Socket, command.Request{Args: []string{"hostname"}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Stdout: w})
		_ = w.Close()
		b, _ := io.ReadAll(r)
		_ = r.Close()
		if code != 0 || err != nil {
			t.Fatal(code, err)
		}
		names = append(names, strings.TrimSpace(string(b)))
	}
	return strings.Join(names, " ")
}

func commit(t *testing.T, h *host.Host, env state.Env, c plan.Change) {
	t.Helper()
	if err := h.Commit(t.Context(), env, c); err != nil {
		t.Fatal(err)
	}
}

// A new sandbox stands beside the old one: what runs in that goes on, and new
// commands go there, until the change is final; and for good if it is not.
func TestReplace(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	expect := func(want string) {
		t.Helper()
		if got := hostnames(t, env); got != want {
			t.Errorf("commands go to, and will: %s, want %s", got, want)
		}
	}
	created := apply(t, h, env, process.SandboxAddr, nil, stateA)
	expect("none a")
	commit(t, h, env, created)
	expect("a a")
	old := initOf(t, env, idA).PID()
	long := make(chan string, 1)
	go func() {
		code, err := command.Run(context.Background(), sandbox.SocketPath(env, idA), command.Request{Args: []string{"sleep", "1001"}, Env: []string{"PATH=/bin"}, Dir: "/"})
		long <- fmt.Sprint(code, err)
	}()
	replaced := apply(t, h, env, process.SandboxAddr, stateA, stateB)
	expect("a b")
	// Taken back: the old one never stopped.
	if err := h.Apply(t.Context(), env, replaced.Reverse()); err != nil {
		t.Fatal(err)
	}
	expect("a a")
	commit(t, h, env, replaced.Reverse())
	expect("a a")
	if initOf(t, env, idA).PID() != old {
		t.Error("another init")
	}
	if _, err := sandbox.Load(t.Context(), env, idB); err == nil {
		t.Error("the new one is still there")
	}
	select {
	case got := <-long:
		t.Errorf("a running command ended: %s", got)
	default:
	}
	// And for good.
	apply(t, h, env, process.SandboxAddr, stateA, stateB)
	commit(t, h, env, replaced)
	if got := <-long; !strings.HasPrefix(got, "125") {
		t.Errorf("the old sandbox's command: %s", got)
	}
	expect("b b")
	if err := unix.Kill(old, 0); err == nil {
		t.Error("the old init is still there")
	}
}

// What commands start with changes when that is final, too.
func TestVariablesFollowTheCommit(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	expect := func(want ...string) {
		t.Helper()
		for i, load := range []func(state.Env) (command.Defaults, error){command.Load, command.LoadApplied} {
			if d, err := load(env); err != nil || fmt.Sprint(d.Vars["A"], d.Dir) != want[i] {
				t.Errorf("%d: %q %q, want %s (%v)", i, d.Vars["A"], d.Dir, want[i], err)
			}
		}
	}
	create := apply(t, h, env, process.EnvironmentAddr, nil, stateA)
	expect("", "1/")
	commit(t, h, env, create)
	expect("1/", "1/")
	update := apply(t, h, env, process.EnvironmentAddr, stateA, stateB)
	expect("1/", "/tmp")
	if err := h.Apply(t.Context(), env, update.Reverse()); err != nil {
		t.Fatal(err)
	}
	expect("1/", "1/")
	commit(t, h, env, update.Reverse())
	apply(t, h, env, process.EnvironmentAddr, stateA, stateB)
	commit(t, h, env, update)
	expect("/tmp", "/tmp")
	commit(t, h, env, apply(t, h, env, process.EnvironmentAddr, stateB, nil))
	expect("", "")
}

// A commit that was cut off is repeated, by a process that knows only the change;
// after a reboot nothing of it is there any more.
func TestCommitCutOff(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	commit(t, h, env, apply(t, h, env, process.SandboxAddr, nil, stateA))
	replaced := apply(t, h, env, process.SandboxAddr, stateA, stateB)
	applied, err := os.ReadFile(filepath.Join(env.Run, "applied-process-socket.json"))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, h, env, replaced)
	done := kernel(t, env)
	// Commands follow already, and the note of what was applied is not gone yet.
	if err := os.WriteFile(filepath.Join(env.Run, "applied-process-socket.json"), applied, 0o600); err != nil {
		t.Fatal(err)
	}
	commit(t, h, env, replaced)
	same(t, env, "committed twice", done)
	empty := env
	empty.Run = filepath.Join(t.TempDir(), "gone")
	empty.Cgroup = env.Cgroup + "/none"
	commit(t, h, empty, replaced)
	if _, err := os.Lstat(empty.Run); err == nil {
		t.Error("a commit after a reboot makes notes of what isn't there")
	}
}

// A sandbox that died is made again, and nobody is sent there before it is whole.
func TestDeadSandboxIsClosed(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	commit(t, h, env, apply(t, h, env, process.SandboxAddr, nil, stateA))
	pid := initOf(t, env, idA).PID()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := apply(t, h, env, process.SandboxAddr, nil, stateA)
	if got := hostnames(t, env); got != "none a" {
		t.Errorf("commands go to, and will: %s", got)
	}
	commit(t, h, env, again)
	if got := hostnames(t, env); got != "a a" {
		t.Errorf("commands go to, and will: %s", got)
	}
}
