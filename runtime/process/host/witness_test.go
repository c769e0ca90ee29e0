//go:build linux

package host_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

// byAnother makes a change in a process that ends then, as a daemon of before.
func byAnother(t *testing.T, env state.Env, c plan.Change) {
	t.Helper()
	job, err := json.Marshal(map[string]any{"Env": env, "Change": c, "Init": sandboxtest.Init()})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asDaemon+"="+string(job))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// witnessed is what is known of the sandbox, when it is want, or else after some time.
func witnessed(t *testing.T, env state.Env, want string) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		known, err := host.New(sandboxtest.Init()).Witness(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		if got := known[process.SandboxAddr]; got == want || time.Now().After(end) {
			return got
		}
	}
}

func expectWitness(t *testing.T, env state.Env, want string) {
	t.Helper()
	if got := witnessed(t, env, want); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func killInit(t *testing.T, env state.Env, id string) {
	t.Helper()
	if err := unix.Kill(initOf(t, env, id).PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestWitnessOfOwnSandbox(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	if known, err := h.Witness(t.Context(), env); len(known) > 0 || err != nil {
		t.Errorf("of nothing: %v, %v", known, err)
	}
	create := change(process.SandboxAddr, nil, stateA)
	if err := h.Apply(t.Context(), env, create); err != nil {
		t.Fatal(err)
	}
	if err := h.Sync(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	expectWitness(t, env, "")
	killInit(t, env, idA)
	expectWitness(t, env, "sandbox ended: killed by signal 9")
	if err := h.Apply(t.Context(), env, create); err != nil { // mended
		t.Fatal(err)
	}
	expectWitness(t, env, "")
}

// A daemon that took over knows, too, if the kernel tells.
func TestWitnessOfAdoptedSandbox(t *testing.T) {
	env := sandboxtest.Env(t)
	byAnother(t, env, change(process.SandboxAddr, nil, stateA))
	if err := host.New(sandboxtest.Init()).Sync(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	expectWitness(t, env, "")
	killInit(t, env, idA)
	want := "sandbox ended: killed by signal 9"
	if !kernelTellsExits(t) {
		want = "sandbox ended, not known how"
	}
	expectWitness(t, env, want)
}

// What ended while nobody looked is not known.
func TestWitnessOfUnseenEnd(t *testing.T) {
	env := sandboxtest.Env(t)
	byAnother(t, env, change(process.SandboxAddr, nil, stateA))
	killInit(t, env, idA)
	expectWitness(t, env, "sandbox ended, not known how")
	if err := host.New(sandboxtest.Init()).Sync(t.Context(), env); err != nil { // there is nothing to attend
		t.Fatal(err)
	}
	expectWitness(t, env, "sandbox ended, not known how")
}

// kernelTellsExits reports whether PIDFD_GET_INFO knows how processes ended (Linux 6.15).
func kernelTellsExits(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	return unix.IoctlPidfdInfo(fd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
}

// A sandbox that runs, and is not as it was made, is told of in words that can be shown.
func TestWitnessOfOtherSandbox(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	if err := h.Apply(t.Context(), env, change(process.SandboxAddr, nil, stateA)); err != nil {
		t.Fatal(err)
	}
	socket := sandbox.SocketPath(env, idA)
	if err := os.Rename(socket, socket+".away"); err != nil {
		t.Fatal(err)
	}
	known, err := h.Witness(t.Context(), env)
	if got := known[process.SandboxAddr]; err != nil || !strings.HasPrefix(got, "sandbox is not running: ") {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Rename(socket+".away", socket); err != nil {
		t.Fatal(err)
	}
	expectWitness(t, env, "")
}
