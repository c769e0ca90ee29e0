//go:build linux

package sandbox_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

// Only what was chosen ends, and never the init.
func TestEnd(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	ended := map[string]chan command.Exit{}
	for _, name := range []string{"1009", "1010"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ended[name] = make(chan command.Exit, 1)
		go func() {
			exit, err := command.Await(t.Context(), sandbox.SocketPath(s.Env, s.ID), command.Request{Args: []string{"sh", "-c", "echo; exec sleep " + name}, Env: []string{"PATH=/bin"}, Dir: "/", Stdout: w})
			if err != nil {
				t.Error(err)
			}
			ended[name] <- exit
		}()
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var asked []int
	end := func(name string) {
		t.Helper()
		asked = nil
		err := s.End(t.Context(), func(pid int) bool {
			asked = append(asked, pid)
			b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			return err == nil && strings.Contains(string(b), name)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	end("1009")
	if exit := <-ended["1009"]; !exit.Signaled || exit.Value != 9 {
		t.Errorf("%+v", exit)
	}
	end("nothing")
	if len(asked) != 1 || asked[0] == s.PID() {
		t.Errorf("asked about %v; init is %d", asked, s.PID())
	}
	end("10")
	<-ended["1010"]
	if end("10"); len(asked) > 0 {
		t.Errorf("asked about %v", asked)
	}
	if err := s.Running(t.Context()); err != nil {
		t.Error(err)
	}
}
