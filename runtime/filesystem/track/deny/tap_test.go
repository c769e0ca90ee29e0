//go:build linux

package deny

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needTap opens one, where the kernel lets us. That of the machine that make test-vm makes
// does.
func needTap(t *testing.T) *Tap {
	t.Helper()
	tap := &Tap{}
	err := tap.Able()
	if err == nil {
		return tap
	}
	if os.Getenv("IN_BLAST_VM") != "" {
		t.Fatal(err)
	}
	t.Skipf("this kernel doesn't tell (make test-vm has one that does): %v", err)
	return nil
}

// A nobody is a shell in a pid namespace of its own, which nobody runs.
type nobody struct {
	in   *os.File
	out  *bufio.Reader
	inum uint32
}

func newNobody(t *testing.T, dir string) *nobody {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, mine, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	t.Cleanup(func() {
		_ = mine.Close()
		_ = cmd.Wait()
	})
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/pid", cmd.Process.Pid), &st); err != nil {
		t.Fatal(err)
	}
	return &nobody{mine, bufio.NewReader(out), uint32(st.Ino)}
}

// do runs a command, and returns when it is over.
func (n *nobody) do(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintf(n.in, "(%s) >/dev/null 2>&1; echo over\n", command); err != nil {
		t.Fatal(err)
	}
	if line, err := n.out.ReadString('\n'); err != nil || line != "over\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func all(t *testing.T, r *Ring) []Event {
	t.Helper()
	var out []Event
	for {
		e, ok, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, e)
	}
}

// TestTap: each way to be refused, by whichever path it was asked for; nothing of what was
// not refused, and of another pid namespace.
func TestTap(t *testing.T) {
	tap := needTap(t)
	dir := t.TempDir()
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"sub", "sub/d", "own"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(dir, "own"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub/shut"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, other := newNobody(t, dir), newNobody(t, dir)
	r, blind, err := tap.Open(n.inum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(blind) > 0 {
		t.Errorf("can't tell of %q", blind)
	}
	n.do(t, "cat /etc/passwd; echo x >own/f; mv own/f own/g; ln own/g own/h; ln -s g own/s; mkdir own/d; rmdir own/d; rm own/*; cat absent")
	other.do(t, "cat sub/shut")
	if got := all(t, r); len(got) != 0 {
		t.Fatalf("nothing was refused to it: %+v", got)
	}
	for _, c := range []struct {
		do   string
		want Event
	}{
		{"cat sub/shut", Event{Op: Open, Errno: unix.EACCES, Command: "cat", Path: dir + "/sub/shut"}},
		{"cd sub; cat shut", Event{Op: Open, Errno: unix.EACCES, Command: "cat", Path: dir + "/sub/shut"}},
		{"cat ./own//../sub/shut", Event{Op: Open, Errno: unix.EACCES, Command: "cat", Path: dir + "/sub/shut"}},
		{"cat " + dir + "/sub/shut", Event{Op: Open, Errno: unix.EACCES, Command: "cat", Path: dir + "/sub/shut"}},
		{"echo x >sub/new", Event{Op: Open, Errno: unix.EACCES, Command: "sh", Path: dir + "/sub/new"}},
		{"rm -f sub/shut", Event{Op: Unlink, Errno: unix.EACCES, Command: "rm", Path: dir + "/sub/shut"}},
		{"rmdir sub/d", Event{Op: Rmdir, Errno: unix.EACCES, Command: "rmdir", Path: dir + "/sub/d"}},
		{"mkdir sub/e", Event{Op: Mkdir, Errno: unix.EACCES, Command: "mkdir", Path: dir + "/sub/e"}},
		{"mkfifo sub/f", Event{Op: Mknod, Errno: unix.EACCES, Command: "mkfifo", Path: dir + "/sub/f"}},
		{"ln -s x sub/l", Event{Op: Symlink, Errno: unix.EACCES, Command: "ln", Path: dir + "/sub/l"}},
		{"echo x >own/f; ln own/f sub/f", Event{Op: Link, Errno: unix.EACCES, Command: "ln", Path: dir + "/own/f", To: dir + "/sub/f"}},
		{"mv sub own/sub", Event{Op: Rename, Errno: unix.EACCES, Command: "mv", Path: dir + "/sub", To: dir + "/own/sub"}},
		{"/etc/passwd", Event{Op: Open, Errno: unix.EACCES, Command: "sh", Path: "/etc/passwd"}},
	} {
		n.do(t, c.do)
		got := all(t, r)
		if !slices.ContainsFunc(got, func(e Event) bool {
			return e.Op == c.want.Op && e.Errno == c.want.Errno && e.Command == c.want.Command && e.Path == c.want.Path && e.To == c.want.To && e.PID > 1 && e.HostPID > 1 && e.UID == 65534
		}) {
			t.Errorf("%s: %+v", c.do, got)
		}
		for _, e := range got {
			if e.Executes() != strings.HasPrefix(c.do, "/etc") || e.Writes() != strings.Contains(c.do, ">sub") && e.Op == Open {
				t.Errorf("%s: executes %v, writes %v", c.do, e.Executes(), e.Writes())
			}
		}
	}
	n.do(t, "i=0; while [ $i -lt 4000 ]; do true <sub/shut; i=$((i+1)); done")
	if got, lost := len(all(t, r)), int(r.Lost()); got+lost != 4000 || lost == 0 || r.Lost() != 0 {
		t.Errorf("of 4000 there are %d, and %d were lost", got, lost)
	}
}
