package task

import (
	"os"
	"os/exec"
	"testing"
)

func TestOfAProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x; exit 0", "app.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := Of(cmd.Process.Pid)
	if p.HostPID != cmd.Process.Pid || p.Command != "sh" || p.Script != "app.py" || p.UID == nil || int(*p.UID) != os.Geteuid() {
		t.Errorf("%+v", p)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if p := Of(cmd.Process.Pid); p.HostPID != 0 {
		t.Errorf("one that is gone: %+v", p)
	}
}
