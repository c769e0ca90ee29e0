//go:build linux

package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

// endingOf waits until it is known how a sandbox ended.
func endingOf(t *testing.T, env state.Env) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		how, err := sandbox.Ending(env, sandboxtest.ID)
		if err != nil {
			t.Fatal(err)
		}
		if how != "" || time.Now().After(end) {
			return how
		}
	}
}

func killInit(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	if err := unix.Kill(s.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestEndingIsNoted(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	if how, err := sandbox.Ending(env, s.ID); how != "" || err != nil {
		t.Errorf("one that runs ended: %q, %v", how, err)
	}
	if err := sandbox.Attend(env, s.ID); err != nil { // somebody does already
		t.Fatal(err)
	}
	killInit(t, s)
	if got := endingOf(t, env); got != "killed by signal 9" {
		t.Errorf("%q", got)
	}
	// What takes its place is another one.
	if err := sandbox.Destroy(t.Context(), env, s.ID); err != nil {
		t.Fatal(err)
	}
	s = sandboxtest.Start(t, env)
	if how, err := sandbox.Ending(env, s.ID); how != "" || err != nil {
		t.Errorf("a new one ended: %q, %v", how, err)
	}
	killInit(t, s)
	if got := endingOf(t, env); got != "killed by signal 9" {
		t.Errorf("the second one: %q", got)
	}
}

// What Blast ends leaves no word, nor the folder that it would be in.
func TestWantedEndIsNotNoted(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	if err := sandbox.Destroy(t.Context(), env, s.ID); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if how, err := sandbox.Ending(env, s.ID); how != "" || err != nil {
			t.Fatalf("%q, %v", how, err)
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", s.PID())); err == nil {
		t.Error("it was not waited for")
	}
}

// limitMemory does the resource kind's part.
func limitMemory(t *testing.T, env state.Env, bytes int) {
	t.Helper()
	for _, name := range []string{
		"/sys/fs/cgroup/memory" + env.Cgroup + "/memory.limit_in_bytes", "/sys/fs/cgroup/memory" + env.Cgroup + "/memory.memsw.limit_in_bytes",
		"/sys/fs/cgroup" + env.Cgroup + "/memory.max", "/sys/fs/cgroup" + env.Cgroup + "/memory.swap.max",
	} {
		if _, err := os.Stat(name); err != nil {
			continue
		}
		limit := bytes
		if strings.HasSuffix(name, "swap.max") {
			limit = 0
		}
		if err := os.WriteFile(name, []byte(fmt.Sprint(limit)), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// hog takes more memory than there is.
var hog = []string{"python3", "-c", "x = bytearray(1 << 30)"}

func TestEndingByMemory(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	limitMemory(t, env, 64<<20)
	in, enter := pipe(t)
	ready, out := pipe(t)
	over := make(chan error, 1)
	go func() {
		// Many, so that none is worse than the init, which is to be the victim.
		const hogs = `echo ready; read -r _; for i in 1 2 3 4 5 6 7 8; do python3 -c 'import time; x = bytearray(16 << 20); time.sleep(60)' & done; wait`
		_, err := command.Run(context.Background(), sandbox.SocketPath(env, s.ID), command.Request{
			Args: []string{"sh", "-c", hogs}, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, Stdin: in, Stdout: out, Stderr: out,
		})
		over <- err
	}()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// Not before: what it starts inherits that.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.PID()), []byte("1000"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := enter.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	want := sandbox.OutOfMemory
	if f, err := os.Open("/dev/kmsg"); err != nil || !hostinfo.InitialPIDs() {
		want = "killed by signal 9, perhaps as it was out of memory"
	} else {
		_ = f.Close()
	}
	if got := endingOf(t, env); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := <-over; err == nil {
		t.Error("the command ended well")
	}
}

// TestCommandsAreOutOfMemoryFirst, also when none of them is as large as PID 1.
func TestCommandsAreOutOfMemoryFirst(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	limitMemory(t, env, 16<<20)
	const crowd = `for i in $(seq 400); do sleep 1000 >/dev/null 2>&1 & done; wait`
	for range 3 {
		if code, out := output(t, s, "sh", "-c", crowd); code != 137 {
			t.Fatalf("the crowd had its memory: %d %s", code, out)
		}
		if code, out := output(t, s, "sh", "-c", "kill -9 -1"); code != 0 {
			t.Fatalf("%d %s", code, out)
		}
	}
}

// That a command was killed for its memory before doesn't make it the reason.
func TestEndingAfterOthersWereOutOfMemory(t *testing.T) {
	if f, err := os.Open("/dev/kmsg"); err != nil || !hostinfo.InitialPIDs() {
		t.Skip("only the kernel's log tells victims apart, and it isn't there or counts otherwise")
	} else {
		_ = f.Close()
	}
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	limitMemory(t, env, 64<<20)
	if code, out := output(t, s, hog...); code != 137 {
		t.Fatalf("the hog: %d %s", code, out)
	}
	killInit(t, s)
	if got := endingOf(t, env); got != "killed by signal 9" {
		t.Errorf("%q", got)
	}
}
