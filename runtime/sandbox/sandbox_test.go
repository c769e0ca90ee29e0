//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }

// output runs a command in the sandbox and returns its exit code and all that it
// printed.
func output(t testing.TB, s *sandbox.Sandbox, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	done := make(chan struct{})
	go func() { _, _ = out.ReadFrom(r); close(done) }()
	code, err := command.Run(context.Background(), sandbox.SocketPath(s.Env, s.ID), command.Request{
		Args: args, Dir: "/", Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + sandbox.Home}, Stdout: w, Stderr: w,
	})
	_ = w.Close()
	<-done
	_ = r.Close()
	if err != nil {
		out.WriteString(err.Error())
	}
	return code, out.String()
}

func TestSmoke(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	code, out := output(t, s, "sh", "-c", "id; ls -la / /etc /dev; cat /proc/self/status /proc/1/cgroup /proc/self/mountinfo; ls -l /proc/self/fd; python3 -c 'print(1)'")
	t.Log(code, out)
	if code != 0 || !strings.Contains(out, "uid=65534") {
		t.Fail()
	}
}
