package task

import (
	"os"
	"os/exec"
	"testing"
)

// What was opened stays that process: of one that is gone nothing is told, whoever comes after it.
func TestProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x; exit 0", "app.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mine, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if ns, err := f.Namespace("pid"); err != nil || ns != mine {
		t.Errorf("%q, %v, want %q", ns, err, mine)
	}
	p, ok := f.Process()
	if !ok || p.HostPID != cmd.Process.Pid || p.Command != "sh" || p.Script != "app.py" || p.UID == nil || int(*p.UID) != os.Geteuid() {
		t.Errorf("%+v", p)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if p, ok := f.Process(); ok || p.HostPID != 0 {
		t.Errorf("one that is gone: %+v", p)
	}
	if ns, err := f.Namespace("pid"); err == nil {
		t.Errorf("one that is gone: %q", ns)
	}
}
