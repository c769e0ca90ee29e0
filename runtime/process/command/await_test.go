//go:build linux

package command_test

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
)

// An exit code of 143 may be one, or a signal.
func TestAwaitTellsSignals(t *testing.T) {
	_, socket := start(t)
	for script, want := range map[string]command.Exit{
		"exit 143":      {Value: 143},
		"kill -TERM $$": {Signaled: true, Value: byte(unix.SIGTERM)},
		"exit 0":        {},
	} {
		got, err := command.Await(t.Context(), socket, command.Request{Args: sh(script), Env: []string{path}, Dir: "/"})
		if err != nil || got != want {
			t.Errorf("%s: %+v, want %+v (%v)", script, got, want, err)
		}
	}
	_, err := command.Await(t.Context(), socket, command.Request{Args: []string{"no-such-program"}, Env: []string{path}, Dir: "/"})
	var e *command.Error
	if !errors.As(err, &e) || e.Code != 127 {
		t.Errorf("no such program: %v", err)
	}
	why := errors.New("time is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	if _, err := command.Await(ctx, socket, command.Request{Args: []string{"sleep", "1002"}, Env: []string{path}, Dir: "/"}); !errors.Is(err, why) {
		t.Errorf("the end of ctx: %v", err)
	}
}

// A signal of a daemon is about the daemon.
func TestDeafPassesNoSignalOn(t *testing.T) {
	_, socket := start(t)
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR1)
	defer signal.Stop(c)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // once it runs
		_, _ = r.Read(make([]byte, 1))
		_ = unix.Kill(os.Getpid(), unix.SIGUSR1)
	}()
	exit, err := command.Await(t.Context(), socket, command.Request{Args: sh("trap 'exit 9' USR1; echo; sleep 0.3"), Env: []string{path}, Dir: "/", Stdout: w, Deaf: true})
	if err != nil || exit.Code() != 0 {
		t.Errorf("%+v %v", exit, err)
	}
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Error("the signal never came: the test shows nothing")
	}
}
