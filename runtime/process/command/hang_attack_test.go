//go:build linux

package command_test

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/command/wire"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

// TestDeafInitCanBeLeft: an init that takes a command and never answers keeps
// nobody's terminal.
func TestDeafInitCanBeLeft(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			continue // by who runs the tests, as under nohup(1): so the client ignores it, too
		}
		path := filepath.Join(t.TempDir(), "init")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		client := exec.Command("/proc/self/exe", "true")
		client.Env = append(os.Environ(), asClient+"="+path)
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, wire.HeaderSize)); err != nil { // the request: now it waits
			t.Fatal(err)
		}
		if err := client.Process.Signal(syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		if err := client.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _ = client.Wait(); client.ProcessState.ExitCode() != 128+int(sig) {
			t.Errorf("%s: %s", sig, client.ProcessState)
		}
		_, _ = c.Close(), l.Close()
	}
}

// TestStoppedInitIsReplaced: a command that stops all of its user's processes
// may catch one that init is just making, and init with it. It takes a sandbox
// that way, its own, and no more: it can be ended and made again.
func TestStoppedInitIsReplaced(t *testing.T) {
	s, socket := start(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = command.Run(t.Context(), socket, command.Request{Dir: "/", Env: []string{path}, Args: []string{"python3", "-c", `
import os, signal, sys
while True:
    try:
        os.kill(-1, signal.SIGSTOP)
    except ProcessLookupError:
        pass
`}})
	}()
	var clients []*exec.Cmd
	for range 20 {
		client := exec.Command("/proc/self/exe", "true")
		client.Env = append(os.Environ(), asClient+"="+socket)
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	if err := sandbox.Destroy(t.Context(), s.Env, s.ID); err != nil {
		t.Errorf("destroy: %v", err)
	}
	for _, c := range clients {
		_ = c.Wait() // ended, or its sandbox did
	}
	<-ended
	if _, err := sandbox.Create(t.Context(), sandboxtest.Spec(t, s.Env)); err != nil {
		t.Fatal(err)
	}
	if code, out, err := run(t, socket, command.Request{Args: sh("echo back")}); code != 0 || out != "back\n" {
		t.Errorf("%d %q %v", code, out, err)
	}
}
