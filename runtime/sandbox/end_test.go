//go:build linux

package sandbox_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// freezers stop a sandbox in each way that this host has, for the whole environment, as
// package cgroup does: by name, the file and what it has to say.
func freezers(t *testing.T, s *sandbox.Sandbox) map[string][2]string {
	t.Helper()
	out := map[string][2]string{}
	for name, text := range map[string]string{"freezer.state": "FROZEN", "cgroup.freeze": "1"} {
		for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			files, err := filepath.Glob(top + s.Env.Cgroup + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				out[name] = [2]string{f, text}
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("this host can stop no process")
	}
	return out
}

// awaitFrozen waits until the kernel has stopped all.
func awaitFrozen(t *testing.T, file string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup.events"))
		if strings.HasPrefix(string(b), "FROZEN") || strings.Contains(string(events), "frozen 1") {
			return
		}
	}
	t.Fatalf("%s: processes go on", file)
}

// What stands still is as it was made, and its commands die where they stand: none gets
// to do anything more, and the init stays.
func TestKillWhatStandsStill(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	for name, how := range freezers(t, s) {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan command.Exit, 1)
			go func() {
				exit, err := command.Await(t.Context(), sandbox.SocketPath(s.Env, s.ID), command.Request{
					Args: []string{"sh", "-c", "trap 'echo more' TERM; echo; while :; do sleep 0.01; done"}, Env: []string{"PATH=/bin"}, Dir: "/", Stdout: w,
				})
				_ = w.Close()
				if err != nil {
					t.Error(err)
				}
				done <- exit
			}()
			if _, err := r.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			thaw := func() {
				if err := os.WriteFile(how[0], []byte(map[string]string{"FROZEN": "THAWED", "1": "0"}[how[1]]), 0); err != nil {
					t.Error(err)
				}
			}
			if err := os.WriteFile(how[0], []byte(how[1]), 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(thaw)
			awaitFrozen(t, how[0])
			if _, err := sandbox.Load(t.Context(), s.Env, s.ID); err != nil {
				t.Errorf("a sandbox that stands still is taken for one that isn't there: %v", err)
			}
			if n, err := s.Signal(unix.SIGTERM); n == 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if n, err := s.Kill(t.Context()); n == 0 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			if text, err := readAvailable(r); text != "" || err != nil {
				t.Errorf("it said %q before it died, %v", text, err)
			}
			thaw()
			if exit := <-done; !exit.Signaled || exit.Value != 9 {
				t.Errorf("%+v", exit)
			}
			if err := s.Running(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// readAvailable reads what is there right now.
func readAvailable(r *os.File) (string, error) {
	if err := r.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := r.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		err = nil
	}
	return string(b[:n]), err
}

// A sandbox goes, whether it stands still or not.
func TestDestroyWhatStandsStill(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	for _, how := range freezers(t, s) {
		if err := os.WriteFile(how[0], []byte(how[1]), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := sandbox.Destroy(t.Context(), s.Env, s.ID); err != nil {
		t.Fatal(err)
	}
	if !sandbox.Ended(s.Env, s.ID) {
		t.Error("it has not ended")
	}
}
